//! Columns from lines of the text format, see `crate::text`. No Python here.

use std::borrow::Cow;
use std::ops::Range;

use triomphe::Arc;

use super::column::Span;
use super::marks;
use super::number;
use super::parse::{Cells, FieldSpec, Format, Parsed, Plain};
use crate::escape::unescape;

/// How much of a block is searched before the places found are used, so that they stay in the cache.
const PIECE: usize = 4096;

/// Reads the lines that a range of a block consists of, the last of which may lack its line end.
/// Lines that are not plainly right are odd.
///
/// # Panics
/// If there are no fields, or the range does not end in the first 4 GiB.
pub fn decode(block: &Arc<Vec<u8>>, range: Range<usize>, fields: &[FieldSpec]) -> Parsed<Span> {
    let text = &block[range.clone()];
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    // Behind each field but the last stands a byte.
    let expected = (lines * fields.len()).min(text.len() + 1);
    let mut cells = Cells::new(fields.len(), expected);
    cells.is_utf8 = str::from_utf8(text).is_ok();
    cut(block, range.clone(), [b'\t', b'\n'], &mut cells.spans);
    let mut odd = Vec::new();
    let data = &block[..range.end];
    let ends_line = |span: &Span| data.get(span.end() as usize) != Some(&b'\t');
    let mut rows = cells.spans.chunks(fields.len());
    if !rows.all(|row| row.iter().position(ends_line) == Some(fields.len() - 1)) {
        for line in std::mem::take(&mut cells.spans).split_inclusive(ends_line) {
            if line.len() == fields.len() {
                cells.spans.extend_from_slice(line);
            } else {
                odd.push(Span::between(line[0].start, line[line.len() - 1].end()));
            }
        }
    }
    let mut escapes = Vec::new();
    marks::find(block, range, [b'\\'], &mut escapes);
    let mut spans = cells.spans.iter().enumerate().peekable();
    for at in escapes {
        while spans.next_if(|(_, span)| span.end() <= at).is_some() {}
        // That of an odd line counts for the next field: to unescape it changes nothing.
        if let Some(&(cell, _)) = spans.peek() {
            cells.escaped.push(cell as u32);
        }
    }
    finish(cells, odd, fields, block)
}

/// Reads lines that are one value each; a str is the line as it is.
///
/// # Panics
/// If the range does not end in the first 4 GiB.
pub fn decode_bare(
    block: &Arc<Vec<u8>>,
    range: Range<usize>,
    crlf: bool,
    kind: Plain,
) -> Parsed<Span> {
    let mut cells = Cells::new(1, 0);
    cells.is_utf8 = str::from_utf8(&block[range.clone()]).is_ok();
    lines(block, range, crlf, &mut cells.spans);
    let field = FieldSpec {
        name: String::new(),
        kind,
        optional: false,
    };
    finish(cells, Vec::new(), &[field], block)
}

fn finish(
    mut cells: Cells,
    mut odd: Vec<Span>,
    fields: &[FieldSpec],
    block: &Arc<Vec<u8>>,
) -> Parsed<Span> {
    let columns = cells.columns(fields, &Txt, block);
    odd.extend(cells.bad.iter().map(|&row| cells.line(row as usize)));
    odd.sort_unstable_by_key(|line| line.start);
    Parsed {
        rows: cells.rows() - cells.bad.len(),
        columns,
        odd,
    }
}

/// Appends where the lines of a range stand, without their line ends; the last one may lack its
/// own. With `crlf`, a carriage return before a newline belongs to the line end.
///
/// # Panics
/// If the range does not end in the first 4 GiB.
pub fn lines(block: &[u8], range: Range<usize>, crlf: bool, out: &mut Vec<Span>) {
    let first = out.len();
    cut(block, range.clone(), [b'\n'], out);
    if crlf {
        for line in &mut out[first..] {
            let ended = (line.end() as usize) < range.end;
            line.len -= u32::from(ended && line.of(block).ends_with(b"\r"));
        }
    }
}

/// Appends what stands between these bytes in a range of a block.
fn cut<const N: usize>(block: &[u8], range: Range<usize>, bytes: [u8; N], out: &mut Vec<Span>) {
    let mut found = Vec::new();
    let mut start = range.start as u32;
    for piece in range.clone().step_by(PIECE) {
        let piece = piece..range.end.min(piece + PIECE);
        found.clear();
        marks::find(block, piece, bytes, &mut found);
        out.extend(found.iter().map(|&end| {
            let span = Span::between(start, end);
            start = end + 1;
            span
        }));
    }
    if !range.is_empty() && block[range.end - 1] != b'\n' {
        out.push(Span::between(start, range.end as u32));
    }
}

struct Txt;

impl Format for Txt {
    fn is_null(&self, text: &[u8]) -> bool {
        text == b"\\N"
    }

    fn plain<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        unescape(text).ok()
    }

    #[inline]
    fn int(&self, block: &[u8], span: Span) -> Option<i64> {
        number::int(block, span)
    }

    #[inline]
    fn float(&self, text: &[u8]) -> Option<f64> {
        number::float(text)
    }

    #[inline]
    fn bool(&self, text: &[u8]) -> Option<bool> {
        match text {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }
}
