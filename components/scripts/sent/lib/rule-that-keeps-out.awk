
BEGIN { addresses = " " addresses " " }

/^[ \t]*(#|$)/ { next }

{
  sign = before_colon($0)
  gsub(/[ \t]/, "", sign)
  names = before_colon(behind_colon($0))
  origins = behind_colon(behind_colon($0))
  if (list_fits(names, "name", sign) && list_fits(origins, "origin", sign)) {
    if (sign == "-") print
    exit
  }
}

function before_colon(text) { return substr(text, 1, index(text, ":") - 1) }
function behind_colon(text) { return substr(text, index(text, ":") + 1) }

function list_fits(list, kind, sign,   words, count, i, fits) {
  count = split(list, words, /[ ,\t]+/)
  for (i = 1; i <= count; i++) {
    if (words[i] == "EXCEPT") {
      if (!fits) return 0
      sub(/^.*[ ,\t]EXCEPT[ ,\t]/, "", list)
      return !list_fits(list, kind, "+")
    }
    if (words[i] != "" && word_fits(words[i], kind, sign)) fits = 1
  }
  return fits
}

function word_fits(word, kind, sign) {
  return kind == "name" ? is_name(word) : is_origin(word, sign)
}

function is_name(word) { return word == "ALL" || word == name || word == "(" name ")" }

function is_origin(word, sign,   is_met) {
  if (word == "ALL") return 1
  if (word == "LOCAL") return 0
  is_met = index(addresses, " " word (word ~ /\.$/ ? "" : " ")) > 0
  if (addresses_are_plain() && word ~ /^[0-9.]+$/) return is_met
  return sign == "+" || is_met
}

function addresses_are_plain() { return addresses ~ /[0-9]/ && addresses !~ /[^0-9. ]/ }
