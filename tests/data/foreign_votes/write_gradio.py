"""Run by make_samples.sh: flags as Gradio's own logger writes them, before and after a component was added."""

import sys

import gradio as gr


def log(components, answers):
    logger = gr.CSVLogger()
    logger.setup(components, sys.argv[1])
    for user, cells in answers:
        logger.flag(cells, username=user)


with gr.Blocks():
    first = [gr.Textbox(label="pair"), gr.Textbox(label="model_left"), gr.Textbox(label="model_right")]
    first.append(gr.Radio(["left", "right", "tie"], label="choice"))
    second = [*first, gr.Textbox(label="=comment")]
log(
    first,
    [
        ("ann", ["p1", "=robust", "vanilla", "left"]),
        ("ann", ["p2", "vanilla", "=robust", "tie"]),
        ("bob", ["p3", "=robust", "vanilla", None]),
    ],
)
log(second, [("bob", ["p4", "=robust", "vanilla", "right", "-1, fine"])])
