# Reads what `systemctl cat` prints of a unit: its files in the order in which they count, each
# behind a line that is "# " and its path.
#
# Prints the commands of ExecStart as systemd reads them from those files without our drop-in, a
# line each. An empty ExecStart= drops those before it.

{
  sub(/\r$/, "")
  # The mark of UTF-8 at a file's beginning.
  sub(/^\357\273\277/, "")
}

# A file begins. Within a line that goes on it is a comment.
unfinished == "" && /^# \// { in_our_dropin = /\/zz-metrics-tunnel\.conf$/ }

# A comment ends at its line, and does not end the line that it stands in.
/^[ \t]*[#;]/ { next }

{ unfinished = unfinished $0 }

# A backslash at its end lets a line go on in the next one; two of them are one that is meant.
match(unfinished, /\\+$/) && RLENGTH % 2 {
  unfinished = substr(unfinished, 1, length(unfinished) - 1) " "
  next
}

{
  take(unfinished)
  unfinished = ""
}

END {
  if (unfinished != "") take(unfinished)
  for (i = 1; i <= count; i++) print commands[i]
}

# Sets: section, commands and count (of them)
function take(line) {
  gsub(/^[ \t]+|[ \t]+$/, "", line)
  if (line ~ /^\[/) section = line
  else if (section == "[Service]" && !in_our_dropin && sub(/^ExecStart[ \t]*=[ \t]*/, "", line)) {
    if (line == "") count = 0
    else commands[++count] = line
  }
}
