//! Text in lower case, as `str.lower()` has it. No Python here.

use crate::columns::column::Text;

pub fn lower(text: &Text) -> Text {
    let mut lowered = Text::default();
    let mut scratch = Vec::new();
    for row in 0..text.spans.len() {
        let word = text.get(row);
        if word.is_ascii() {
            scratch.clear();
            scratch.extend_from_slice(word);
            scratch.make_ascii_lowercase();
            lowered.push(&scratch);
        } else {
            lowered.push(String::from_utf8_lossy(word).to_lowercase().as_bytes());
        }
    }
    lowered
}
