
{
  file = $1
  sub(/^[^ ]*[ \t]+/, "")
  split($0, words, /[ \t=]+/)
}

tolower(words[1]) == "match" { block_in[file] = $0 }

block_in[file] != "" && tolower(words[1]) == tolower(keyword) {
  print file " comes first, with '" $0 "' in its block '" block_in[file] "'; take that out there"
  exit
}
