# Reference answers of R's rpact for alpha spending:  Rscript tests/data/analysis/spending.R
# Writes spending.json beside it. The tests read the JSON and need no R. (Debian has rpact, not gsDesign.)
suppressMessages({
  library(jsonlite); library(rpact)
})
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE)))
looks <- list(c(.5, 1), seq(.2, 1, .2), (1:11) / 11, c(.13, .4, .47, .9, 1))
answers <- list()
for (fractions in looks) for (spending in c("obrien_fleming", "pocock")) for (level in c(.05, .01)) {
  # Two-sided symmetric boundaries: each side spends half the level.
  design <- getDesignGroupSequential(kMax = length(fractions), alpha = level / 2, sided = 1, beta = .2,
    informationRates = fractions, typeOfDesign = if (spending == "pocock") "asP" else "asOF", tolerance = 1e-9)
  critical <- design$criticalValues
  answers[[length(answers) + 1]] <- list(fractions = fractions, spending = spending, level = level,
    critical = ifelse(is.finite(critical), critical, 99),
    inflation = getDesignCharacteristics(design)$inflationFactor)
}
versions <- list(R = R.version.string, rpact = as.character(packageVersion("rpact")))
write(toJSON(list(versions = versions, answers = answers), auto_unbox = TRUE, digits = 10, pretty = TRUE),
  file.path(here, "spending.json"))
