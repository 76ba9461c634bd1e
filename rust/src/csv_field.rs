//! Fields of CSV as they are written (RFC 4180). No Python here, so that `tests/` can run without it.

/// Which bytes need quotes around their field.
const MARKS: [bool; 256] = {
    let mut marks = [false; 256];
    marks[b',' as usize] = true;
    marks[b'"' as usize] = true;
    marks[b'\r' as usize] = true;
    marks[b'\n' as usize] = true;
    marks
};

/// Appends a text, in quotes where it needs them. So do blanks at its ends, which some readers take
/// off otherwise, and an empty text, which nothing else tells from None.
pub fn write_field(text: &[u8], out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (text.first(), text.last()) else {
        out.extend_from_slice(b"\"\"");
        return;
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    if !blank(first) && !blank(last) && !text.iter().any(|&byte| MARKS[usize::from(byte)]) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for part in text.split_inclusive(|&byte| byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}
