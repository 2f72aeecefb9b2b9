# Says which line of our drop-in for sshd says what, and should say what.
#
# Reads
#   the drop-in as it is there.
#
# Prints a line for each of its settings that is not ours or says another thing than ours, and one
# for all that are missing.
#
# Needs WANTED (environment), the text that the drop-in should have, whose first line is a comment;
# `file` (-v), for the words.

BEGIN {
  count = split(ENVIRON["WANTED"], lines, "\n")
  for (i = 2; i <= count; i++) wanted[setting(lines[i])] = lines[i]
}

{ sub(/^[ \t]+/, "") }

/^(#|$)/ { next }

{
  seen[setting($0)]
  if (!(setting($0) in wanted)) {
    print file " says '" $0 "', which is not ours"
  } else if (wanted[setting($0)] != $0) {
    print file " says '" $0 "' instead of '" wanted[setting($0)] "'"
  }
}

END {
  for (i = 2; i <= count; i++) {
    if (!(setting(lines[i]) in seen)) missing = missing ", '" lines[i] "'"
  }
  if (missing) print file " does not say " substr(missing, 3)
}

# What a line sets: its keyword. Our drop-in has two lines of Match, `Match User` and `Match all`.
function setting(line,   words) {
  split(line, words)
  return tolower(words[1] (tolower(words[1]) == "match" ? words[2] : ""))
}
