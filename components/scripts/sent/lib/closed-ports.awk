
match($0, /^ours=--web\.listen-address=127\.0\.0\.1:[0-9]+;/) ||
match($0, /=127\.0\.0\.1:[0-9]+' metrics-tunnel /) {
  port = substr($0, RSTART, RLENGTH)
  sub(/^.*127\.0\.0\.1:/, "", port)
  print port + 0, FILENAME
}
