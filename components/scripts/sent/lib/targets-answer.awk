
BEGIN {
  of_our_file = "\"__meta_filepath\":\"" ENVIRON["TARGET_FILE"] "\""
  wanted_count = split(ENVIRON["WANTED"], wanted, "\n")
}

index($0, "\"activeTargets\":") { is_list = 1 }

index($0, of_our_file) {
  for (i = 1; i <= wanted_count; i++) {
    if (index($0, wanted[i])) state[i] = state_of($0)
  }
}

END {
  for (i = 1; i <= wanted_count; i++) {
    if (!is_list) print "no-list"
    else if (!(i in state)) print "unlisted"
    else print state[i]
  }
}

function state_of(target) {
  return between(target, "\"health\":\"", "\"") " " \
    between(target, "\"lastScrape\":\"", "\"") " " \
    between(target, "\"scrapeUrl\":\"http://", "\"") " " \
    between(target, "\"lastError\":\"", "\",\"lastScrape\":")
}

function between(text, before, behind) {
  text = substr(text, index(text, before) + length(before))
  return substr(text, 1, index(text, behind) - 1)
}
