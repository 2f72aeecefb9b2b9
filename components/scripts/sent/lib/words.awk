
{
  for (i = 1; i <= length($0); i++) {
    letter = substr($0, i, 1)
    if (letter == "\\") add(substr($0, ++i, 1))
    else if (quote != "") {
      if (letter == quote) quote = ""
      else add(letter)
    }
    else if (letter == "\"" || letter == "'") {
      quote = letter
      add("")
    }
    else if (letter ~ /[ \t]/) end_word()
    else add(letter)
  }
  if (in_word) print word
}

function add(letters) {
  word = word letters
  in_word = 1
}

function end_word() {
  if (in_word) print word
  word = ""
  in_word = 0
}
