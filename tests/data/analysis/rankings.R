# Reference answers of R for several arms:  Rscript tests/data/analysis/rankings.R
# Reads tables/*.csv beside it, writes rankings.json. The tests read the JSON and need no R.
suppressMessages({
  library(jsonlite); library(sandwich); library(qvcalc); library(gnm); library(BradleyTerry2)
})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
tables <- sort(list.files(file.path(here, "tables"), pattern = "csv$"))
tight <- glm.control(epsilon = 1e-12, maxit = 100)

design <- function(votes, arms) {
  columns <- sapply(arms[-1], function(arm) (votes$arm_left == arm) - (votes$arm_right == arm))
  matrix(columns, nrow = nrow(votes), dimnames = list(NULL, arms[-1]))
}

binary <- function(votes, arms, link) {
  votes <- votes[votes$choice != "tie", ]
  X <- cbind(design(votes, arms), left = 1)
  y <- as.numeric(votes$choice == "left")
  fit <- glm(y ~ 0 + X, family = binomial(link), control = tight)
  null <- glm(y ~ 1, family = binomial(link), control = tight)
  by_rater <- vcovCL(fit, cluster = votes$rater, type = "HC0", cadjust = TRUE)
  by_pair <- vcovCL(fit, cluster = votes$pair, type = "HC0", cadjust = TRUE)
  two_way <- vcovCL(fit, cluster = data.frame(votes$rater, votes$pair), type = "HC0", cadjust = TRUE)
  strengths <- seq_along(arms[-1])
  full <- matrix(0, length(arms), length(arms))
  full[-1, -1] <- vcov(fit)[strengths, strengths]
  quasi <- if (length(arms) > 2) suppressWarnings(qvcalc(full)$qvframe$quasiSE) else NULL
  bt <- if (link == "logit" && length(arms) > 2) {
    sides <- data.frame(arm = factor(votes$arm_left, arms), at = 1)
    others <- data.frame(arm = factor(votes$arm_right, arms), at = 0)
    unname(coef(BTm(y, sides, others, formula = ~ arm + at, id = "arm", control = tight)))
  } else NULL
  list(relative = c(0, unname(coef(fit)[strengths])), position = unname(coef(fit)["Xleft"]),
    se = unname(sqrt(diag(vcov(fit)))), variance_rater = unname(diag(by_rater)), variance_pair = unname(diag(by_pair)),
    variance_two_way = unname(diag(two_way)), quasi_se = quasi, log_likelihood = as.numeric(logLik(fit)),
    likelihood_ratio = 2 * (as.numeric(logLik(fit)) - as.numeric(logLik(null))), bradley_terry2 = bt)
}

with_ties <- function(votes, arms) {
  if (!any(votes$choice == "tie")) return(NULL)
  left <- factor(votes$arm_left, arms)
  right <- factor(votes$arm_right, arms)
  counts <- as.data.frame(table(left, right, choice = factor(votes$choice, c("left", "right", "tie"))))
  counts$match <- interaction(counts$left, counts$right)
  shown <- ave(counts$Freq, counts$match, FUN = sum) > 0
  counts <- droplevels(counts[shown, ])
  counts$left <- factor(counts$left, arms)
  counts$right <- factor(counts$right, arms)
  sign <- 0.5 * ((counts$choice == "left") - (counts$choice == "right"))
  names(counts)[1:2] <- c("arm_left", "arm_right")
  X <- cbind(design(counts, arms) * sign, left = sign, tie = as.numeric(counts$choice == "tie"))
  loglinear <- glm(Freq ~ 0 + match + X, family = poisson, data = counts, control = tight)
  wanted <- paste0("X", colnames(X))
  counts$home <- TRUE
  counts$away <- FALSE
  general <- gnm(Freq ~ GenDavidson(choice == "left", choice == "tie", choice == "right", arm_left, arm_right,
    home.adv = ~1, tie.max = ~1, at.home1 = home, at.home2 = away), eliminate = match, family = poisson, data = counts,
    verbose = FALSE, trace = FALSE, tolerance = 1e-10, iterMax = 2000)
  found <- coef(general)
  tie <- plogis(unname(found["tie.max"]))
  list(relative = c(0, unname(coef(loglinear)[wanted[seq_along(arms[-1])]])), position = unname(coef(loglinear)["Xleft"]),
    nu = exp(unname(coef(loglinear)["Xtie"])), se = unname(sqrt(diag(vcov(loglinear))[wanted])),
    gnm = list(relative = unname(found[arms] - found[arms[1]]), position = unname(found["home.adv"]),
      nu = 2 * tie / (1 - tie)))
}

answers <- list()
for (name in tables) {
  votes <- read.csv(file.path(here, "tables", name))
  arms <- sort(unique(c(votes$arm_left, votes$arm_right)))
  answers[[sub(".csv", "", name, fixed = TRUE)]] <- list(arms = arms, bradley_terry = binary(votes, arms, "logit"),
    thurstone_case_v = binary(votes, arms, "probit"), davidson = with_ties(votes, arms))
}
packages <- c("sandwich", "qvcalc", "gnm", "BradleyTerry2")
versions <- c(R = R.version.string, platform = R.version$platform, system = sessionInfo()$running,
  vapply(packages, function(name) as.character(packageVersion(name)), ""))
write_json(list(versions = as.list(versions), answers = answers), file.path(here, "rankings.json"),
  digits = 14, auto_unbox = TRUE, pretty = TRUE)
