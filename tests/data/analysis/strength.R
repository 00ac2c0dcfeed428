# Graded votes by ordinal::clmm with symmetric thresholds:  Rscript tests/data/analysis/strength.R
# Reads graded.csv beside it, writes strength.json. The tests read the JSON and need no R.
# The table: 16 raters by 24 pairs drawn once, tie band 0.3, grades up to 1.0 and 2.0 on the latent scale.
suppressMessages({
  library(jsonlite); library(ordinal)
})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
votes <- read.csv(file.path(here, "graded.csv"))
votes[c("rater", "pair")] <- lapply(votes[c("rater", "pair")], factor)

fitted <- function(votes) {
  votes$answer <- factor(votes$grade, ordered = TRUE)
  fit <- clmm(answer ~ side + (1 | rater) + (1 | pair), data = votes, threshold = "symmetric",
              control = clmm.control(gradTol = 1e-8))
  list(coefficients = as.list(fit$coefficients), log_likelihood = as.numeric(logLik(fit)),
       thresholds = as.list(fit$Theta[1, ]), se = as.list(sqrt(diag(vcov(fit)))),
       sd_rater = sqrt(as.numeric(fit$ST$rater^2)), sd_pair = sqrt(as.numeric(fit$ST$pair^2)))
}
found <- list(ties = fitted(votes), no_ties = fitted(subset(votes, grade != 0)),
              versions = list(R = as.character(getRversion()), ordinal = as.character(packageVersion("ordinal"))))
writeLines(toJSON(found, auto_unbox = TRUE, digits = NA, pretty = TRUE), file.path(here, "strength.json"))
