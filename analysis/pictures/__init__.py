"""Sets of pictures as people bring them: what is an image, what is a class, what is a pixel. NumPy and Pillow alone.

Training, image metrics and the import of finished images all read through this folder, so a file means the same to
each of them. The rules, one a line, are the table of `docs/image-sets.md`.
"""
