# Words counted by mawk: words_mawk.sh TEXT DEST
mkdir -p "$2/result"
mawk '
    { for (i = 1; i <= NF; i++) counts[$i]++ }
    END { for (word in counts) print word "\t" counts[word] }
' "$1" > "$2/result/counts.txt"
