# Reference answers for the closed forms: Rscript closed_forms.R tables closed_forms.json
# Needs sandwich and jsonlite. Compares robust with vanilla; every number is at full double precision.
suppressPackageStartupMessages({
  library(sandwich)
  library(jsonlite)
})
arguments <- commandArgs(trailingOnly = TRUE)
tables <- sort(list.files(arguments[1], pattern = "\\.csv$", full.names = TRUE))

duel_of <- function(path) {
  votes <- read.csv(path, colClasses = "character")
  votes <- votes[votes$arm_left %in% c("robust", "vanilla") & votes$arm_right %in% c("robust", "vanilla"), ]
  chosen <- ifelse(votes$choice == "left", votes$arm_left, votes$arm_right)
  votes$score <- ifelse(votes$choice == "tie", 0.5, ifelse(chosen == "robust", 1, 0))
  votes$side <- ifelse(votes$arm_left == "robust", 0.5, -0.5)
  votes$load <- ave(votes$score, votes$rater, FUN = length)
  votes$cell <- paste(votes$rater, votes$pair)
  votes
}

# One component of the two-way variance of the intercept: clustered HC0 with the G / (G - 1) factor.
component <- function(fit, cluster) vcovCL(fit, cluster = cluster, type = "HC0", cadjust = TRUE)[1, 1]

crossed <- function(fit, votes) {
  parts <- c(
    rater = component(fit, votes$rater), pair = component(fit, votes$pair), cell = component(fit, votes$cell)
  )
  both <- vcovCL(fit, cluster = votes[, c("rater", "pair")], type = "HC0", cadjust = TRUE)[1, 1]
  total <- max(both, parts[["rater"]], parts[["pair"]])
  df <- min(length(unique(votes$rater)), length(unique(votes$pair))) - 1
  estimate <- unname(coef(fit)[1])
  list(
    estimate = estimate, v_rater = parts[["rater"]], v_pair = parts[["pair"]], v_cell = parts[["cell"]],
    v_both = both, se = sqrt(total), df = df,
    low = estimate - qt(0.975, df) * sqrt(total), high = estimate + qt(0.975, df) * sqrt(total),
    p_value = 2 * pt(-abs(estimate - 0.5) / sqrt(total), df)
  )
}

user_t <- function(votes) {
  rates <- tapply(votes$score, votes$rater, mean)
  answer <- t.test(rates, mu = 0.5)
  list(
    estimate = unname(answer$estimate), low = answer$conf.int[1], high = answer$conf.int[2],
    p_value = answer$p.value, df = unname(answer$parameter), n = length(rates)
  )
}

independent <- function(successes, failures) {
  exact <- binom.test(successes, successes + failures)
  score <- prop.test(successes, successes + failures, correct = FALSE)
  list(
    successes = successes, failures = failures, p_value = exact$p.value,
    low = exact$conf.int[1], high = exact$conf.int[2],
    wilson_low = score$conf.int[1], wilson_high = score$conf.int[2], wilson_p = score$p.value
  )
}

longest_runs <- function(votes) {
  lapply(split(votes, votes$rater), function(own) {
    runs <- rle(own$choice[order(as.numeric(own$position))])
    sided <- runs$lengths[runs$values != "tie"]
    if (length(sided)) max(sided) else 0
  })
}

classes <- function(votes) {
  names <- sort(unique(votes$class_label))
  p_values <- sapply(names, function(label) {
    own <- votes[votes$class_label == label, ]
    own$load <- ave(own$score, own$rater, FUN = length)
    crossed(lm(score ~ 1, own, weights = 1 / own$load), own)$p_value
  })
  list(
    labels = I(names), p_value = I(unname(p_values)),
    bh = I(unname(p.adjust(p_values, "BH"))), holm = I(unname(p.adjust(p_values, "holm")))
  )
}

answers <- lapply(tables, function(path) {
  votes <- duel_of(path)
  decisive <- votes[votes$score != 0.5, ]
  left <- decisive$choice == "left"
  list(
    counts = list(
      wins = sum(votes$score == 1), losses = sum(votes$score == 0), ties = sum(votes$score == 0.5)
    ),
    two_way = crossed(lm(score ~ 1, votes, weights = 1 / votes$load), votes),
    two_way_adjusted = crossed(lm(score ~ side, votes, weights = 1 / votes$load), votes),
    rater_mean = user_t(votes),
    rater_mean_decisive = user_t(decisive),
    decisive = independent(sum(decisive$score == 1), sum(decisive$score == 0)),
    left = independent(sum(left), sum(!left)),
    longest_runs = longest_runs(votes),
    classes = if (length(unique(votes$class_label)) > 1) classes(votes) else NULL
  )
})
names(answers) <- sub("\\.csv$", "", basename(tables))
versions <- list(
  R = R.version.string, sandwich = as.character(packageVersion("sandwich")),
  jsonlite = as.character(packageVersion("jsonlite"))
)
write_json(
  list(versions = versions, answers = answers), arguments[2],
  auto_unbox = TRUE, digits = NA, null = "null", pretty = 1
)
