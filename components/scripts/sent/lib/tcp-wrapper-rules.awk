
BEGIN { FS = ":" }

/^[ \t]*(#|$)/ { next }

{ its_verdict = tolower($3) ~ /^[ \t]*(allow|deny)[ \t]*$/ ? tolower($3) : verdict }

{ print (its_verdict ~ /allow/ ? "+" : "-") ":" $1 ":" $2 }
