# Reference answers of R for the crossed models and GEE:  Rscript tests/data/analysis/mixed_models.R
# Reads tables/*.csv beside it, writes mixed_models.json. The tests read the JSON and need no R.
suppressMessages({
  library(jsonlite); library(lme4); library(lmerTest); library(glmmTMB); library(geepack); library(ordinal)
})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
tables <- sort(list.files(file.path(here, "tables"), pattern = "csv$"))
sds <- function(components) as.list(unlist(components)[c("rater", "pair")])

read_duel <- function(name) {
  votes <- read.csv(file.path(here, "tables", name))
  votes <- votes[votes$arm_left %in% c("robust", "vanilla") & votes$arm_right %in% c("robust", "vanilla"), ]
  votes$x <- ifelse(votes$arm_left == "robust", 0.5, -0.5)
  votes$score <- ifelse(votes$choice == "tie", 0.5, as.numeric((votes$choice == "left") == (votes$x > 0)))
  votes$rater <- factor(votes$rater)
  votes$pair <- factor(votes$pair)
  votes[order(votes$rater), ]
}

logistic <- function(votes) {
  votes <- droplevels(votes[votes$score != 0.5, ])
  tmb <- suppressWarnings(glmmTMB(score ~ x + (1 | rater) + (1 | pair), family = binomial, data = votes,
    control = glmmTMBControl(optCtrl = list(rel.tol = 1e-12, x.tol = 1e-10, iter.max = 1000, eval.max = 2000))))
  laplace <- suppressMessages(suppressWarnings(glmer(score ~ x + (1 | rater) + (1 | pair), family = binomial, data = votes,
    control = glmerControl(tolPwrss = 1e-12, optCtrl = list(maxfun = 1e5)))))
  errors <- sqrt(diag(vcov(tmb)$cond))
  list(beta = unname(fixef(tmb)$cond), se = unname(errors), sd = sds(lapply(VarCorr(tmb)$cond, attr, "stddev") |>
    lapply(unname)), log_likelihood = as.numeric(logLik(tmb)), log_likelihood_glmer = as.numeric(logLik(laplace)))
}

linear <- function(votes) {
  fit <- suppressMessages(suppressWarnings(lmerTest::lmer(score ~ x + (1 | rater) + (1 | pair), data = votes,
    control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10)))))
  table <- coef(summary(fit))
  list(beta = unname(table[, "Estimate"]), se = unname(table[, "Std. Error"]), df = unname(table[, "df"]),
    sd = sds(lapply(VarCorr(fit), function(block) unname(attr(block, "stddev")))), sd_residual = sigma(fit),
    log_likelihood = as.numeric(logLik(fit)))
}

by_rater <- function(votes) {
  fit <- suppressWarnings(geeglm(score ~ x, id = rater, data = votes, family = binomial, corstr = "exchangeable",
    control = geese.control(epsilon = 1e-12, maxit = 500)))
  list(beta = unname(coef(fit)), se = unname(sqrt(diag(vcov(fit)))), correlation = unname(fit$geese$alpha),
    scale = unname(fit$geese$gamma))
}

cumulative <- function(votes) {
  if (!any(votes$score == 0.5)) return(NULL)
  votes$answer <- factor(votes$score, ordered = TRUE)
  fit <- clmm(answer ~ x + (1 | rater) + (1 | pair), data = votes, control = clmm.control(gradTol = 1e-8))
  thresholds <- unname(fit$alpha)
  list(thresholds = thresholds, position = unname(fit$beta), se_position = unname(sqrt(vcov(fit)["x", "x"])),
    sd = sds(lapply(VarCorr(fit), function(block) unname(attr(block, "stddev")))),
    log_likelihood = as.numeric(logLik(fit)))
}

answers <- list()
for (name in tables) {
  votes <- read_duel(name)
  answers[[sub(".csv", "", name, fixed = TRUE)]] <- list(
    glmm = logistic(votes), lmm = linear(votes), gee = by_rater(votes), ordinal = cumulative(votes))
}
packages <- c("lme4", "lmerTest", "glmmTMB", "geepack", "ordinal")
versions <- c(R = R.version.string, platform = R.version$platform, system = sessionInfo()$running,
  vapply(packages, function(name) as.character(packageVersion(name)), ""))
write_json(list(versions = as.list(versions), answers = answers), file.path(here, "mixed_models.json"),
  digits = 14, auto_unbox = TRUE, pretty = TRUE)
