# Finds which port a drop-in of ours closes, by its text.
#
# Reads
#   drop-ins, and the copies beside them.
#
# Prints a line "PORT FILE" for each; nothing for one that a hand has changed beyond recognition.

# The second is how releases up to 0.1.0 wrote it.
match($0, /^ours=--web\.listen-address=127\.0\.0\.1:[0-9]+;/) ||
match($0, /=127\.0\.0\.1:[0-9]+' metrics-tunnel /) {
  port = substr($0, RSTART, RLENGTH)
  sub(/^.*127\.0\.0\.1:/, "", port)
  print port + 0, FILENAME
}
