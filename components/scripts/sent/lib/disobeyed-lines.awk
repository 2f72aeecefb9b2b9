
{ settings[tolower($0)] }

END {
  count = split(ENVIRON["DROPIN"], lines, "\n")
  for (i = 1; i <= count; i++) {
    if (lines[i] !~ /^(#|Match)/ && !(tolower(lines[i]) in settings)) print lines[i]
  }
}
