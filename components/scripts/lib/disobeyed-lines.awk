# Finds the lines of our drop-in that sshd would not use.
#
# Reads
#   sshd's settings for a login, as `sshd -T` prints them: keywords in small letters.
#
# Prints the lines of DROPIN (environment: the drop-in's text) that are not among them.

{ settings[tolower($0)] }

END {
  count = split(ENVIRON["DROPIN"], lines, "\n")
  for (i = 1; i <= count; i++) {
    if (lines[i] !~ /^(#|Match)/ && !(tolower(lines[i]) in settings)) print lines[i]
  }
}
