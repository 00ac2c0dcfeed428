# Preference by class of lme4's crossed models:  Rscript tests/data/analysis/classes.R
# Reads classes.csv beside it, writes classes.json. The tests read the JSON and need no R.
# The tables: analysis.planning.simulation drew them once; 24 to 40 raters, 24 to 40 pairs, 2 to 6 pairs a class.
suppressMessages({
  library(jsonlite); library(lme4)
})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
votes <- read.csv(file.path(here, "classes.csv"))
votes[c("rater", "pair", "class_label")] <- lapply(votes[c("rater", "pair", "class_label")], factor)

# A rater may prefer differently in each class: the tests let them, and so do these models.
crossed <- "(1 | rater) + (1 | rater:class_label) + (1 | pair)"
quiet <- function(expression) suppressMessages(suppressWarnings(expression))
tail <- function(z) 2 * pnorm(-abs(z))

fitted <- function(votes) {
  votes <- droplevels(votes)
  formula <- function(fixed) as.formula(paste("score ~", fixed, "+", crossed))
  linear <- quiet(lmer(formula("0 + class_label"), data = votes))
  logistic <- quiet(glmer(formula("0 + class_label"), data = votes, family = binomial,
                          control = glmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 1e5))))
  alike <- quiet(glmer(formula("1"), data = votes, family = binomial,
                       control = glmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 1e5))))
  chi <- 2 * as.numeric(logLik(logistic) - logLik(alike))
  list(
    classes = levels(votes$class_label),
    rates = unname(fixef(linear)), errors = unname(sqrt(diag(as.matrix(vcov(linear))))),
    p_values = unname(tail(fixef(logistic) / sqrt(diag(as.matrix(vcov(logistic)))))),
    heterogeneity = list(chi_square = chi, df = nlevels(votes$class_label) - 1,
                         p_value = pchisq(chi, nlevels(votes$class_label) - 1, lower.tail = FALSE)))
}
answers <- lapply(split(votes, votes$table), fitted)
versions <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")))
write(toJSON(list(versions = versions, answers = answers), auto_unbox = TRUE, digits = 10, pretty = TRUE),
  file.path(here, "classes.json"))
