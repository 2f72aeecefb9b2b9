# Reads Prometheus' list of targets (/api/v1/targets), each target on a line of its own: what it
# says of those that one target file has.
#
# For each line of WANTED, in that order, prints
#   no-list                             it is no list that was answered
#   unlisted                            the list does not have it
#   HEALTH LAST-SCRAPE PLACE ERROR      up, down or unknown; a time; ADDRESS:PORT/PATH; what the
#                                       last scrape failed with, nothing for none
#
# WANTED (how the list tells of each target) and TARGET_FILE (its path) come in the environment: -v
# would read backslashes.

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

# What stands there first. Within a value each quotation mark has a backslash before it, so no value
# can have such words in it.
function between(text, before, behind) {
  text = substr(text, index(text, before) + length(before))
  return substr(text, 1, index(text, behind) - 1)
}
