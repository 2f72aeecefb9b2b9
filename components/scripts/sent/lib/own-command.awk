
{
  sub(/\r$/, "")
  sub(/^\357\273\277/, "")
}

unfinished == "" && /^# \// { in_our_dropin = /\/zz-metrics-tunnel\.conf$/ }

/^[ \t]*[#;]/ { next }

{ unfinished = unfinished $0 }

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

function take(line) {
  gsub(/^[ \t]+|[ \t]+$/, "", line)
  if (line ~ /^\[/) section = line
  else if (section == "[Service]" && !in_our_dropin && sub(/^ExecStart[ \t]*=[ \t]*/, "", line)) {
    if (line == "") count = 0
    else commands[++count] = line
  }
}
