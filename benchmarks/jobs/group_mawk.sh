# Two columns of a CSV file summed by key, by mawk: group_mawk.sh ROWS DEST
mkdir -p "$2/result"
mawk -F , '
    NR > 1 { a[$1] += $2; b[$1] += $3 }
    END { for (key in a) printf "%s\t%d\t%.17g\n", key, a[key], b[key] }
' "$1" > "$2/result/sums.txt"
