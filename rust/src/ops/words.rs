//! Splitting texts, as Python's `str.split` does.

use std::sync::LazyLock;

use memchr::{memchr_iter, memmem};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::runs::Class;
use crate::columns::column::Span;

/// What Python's `str.isspace` holds for.
const SPACE: [(char, char); 10] = [
    ('\t', '\r'),
    ('\x1c', ' '),
    ('\u{85}', '\u{85}'),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];

static NO_SPACE: LazyLock<Class> = LazyLock::new(|| {
    let ranges = SPACE.map(|(first, last)| ClassUnicodeRange::new(first, last));
    let mut class = ClassUnicode::new(ranges);
    class.negate();
    Class::new(&class)
});

/// Appends the words of UTF-8, as `str.split()` makes them.
pub fn split_space(data: &[u8], out: &mut Vec<Span>) {
    NO_SPACE.runs(data, Span::new(0, data.len()), out);
}

/// Appends the pieces of a text, as `str.split(separator)` makes them. The separator is not empty.
pub fn split_on(data: &[u8], text: Span, separator: &[u8], out: &mut Vec<Span>) {
    let (offset, text) = (text.start as usize, text.of(data));
    let mut start = 0;
    let mut cut = |at: usize| {
        out.push(Span::new(offset + start, at - start));
        start = at + separator.len();
    };
    match separator {
        &[byte] => memchr_iter(byte, text).for_each(&mut cut),
        _ => memmem::find_iter(text, separator).for_each(&mut cut),
    }
    cut(text.len());
}
