//! Columns from rows of CSV, and from fields with a plain separator. No Python here.

use std::borrow::Cow;

use triomphe::Arc;

use crate::columns::column::Span;
use crate::columns::parse::{Cells, FieldSpec, Format, Parsed, Plain, hull, without};
use crate::columns::{marks, number};

/// How much of a bad field a message shows.
const SHOWN: usize = 60;

/// A row of CSV (RFC 4180) a line. A field that begins with a quote ends with one, and quotes inside
/// of it are doubled; all other quotes are text.
pub struct ParseCsv {
    pub fields: Vec<FieldSpec>,
    /// ASCII, as is the quote.
    pub delimiter: u8,
    pub quote: u8,
}

/// Fields with separators between them a line.
pub struct Split {
    pub fields: Vec<FieldSpec>,
    /// UTF-8 of at least one byte.
    pub separator: Vec<u8>,
}

impl ParseCsv {
    /// The rows in these lines of a block. Of a line that is none, its number and why.
    ///
    /// # Panics
    /// If there are no fields.
    pub fn parse(&self, block: &Arc<Vec<u8>>, lines: &[Span]) -> Parsed<(u32, String)> {
        parse(self, &self.fields, block, lines)
    }
}

impl Split {
    /// The rows in these lines of a block. Of a line that is none, its number and why.
    ///
    /// # Panics
    /// If there are no fields, or no separator.
    pub fn parse(&self, block: &Arc<Vec<u8>>, lines: &[Span]) -> Parsed<(u32, String)> {
        parse(self, &self.fields, block, lines)
    }
}

/// How a line is cut into fields, where these bytes are marks.
trait Cut {
    fn marks(&self) -> [u8; 2];

    /// Adds the fields of a line. The last mark is the end of the line.
    fn cut(
        &self,
        block: &[u8],
        line: Span,
        marks: &[u32],
        cells: &mut Cells,
    ) -> Result<(), &'static str>;

    /// A field without its escapes.
    fn plain<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]>;
}

impl Cut for ParseCsv {
    fn marks(&self) -> [u8; 2] {
        [self.delimiter, self.quote]
    }

    fn cut(
        &self,
        block: &[u8],
        line: Span,
        marks: &[u32],
        cells: &mut Cells,
    ) -> Result<(), &'static str> {
        let is_quote = |at: u32| at < line.end() && block[at as usize] == self.quote;
        let mut marks = marks.iter().copied();
        let mut start = line.start;
        while let Some(mut end) = marks.next() {
            if !is_quote(end) {
                cells.spans.push(Span::between(start, end));
                start = end + 1;
            } else if end == start {
                let text = start + 1;
                let mut escaped = false;
                loop {
                    end = marks
                        .next()
                        .ok_or("expected a closing quote in the same line")?;
                    if is_quote(end) {
                        if !is_quote(end + 1) {
                            break;
                        }
                        escaped = true;
                        marks.next();
                    }
                }
                if escaped {
                    cells.escaped.push(cells.spans.len() as u32);
                }
                start = end + 2;
                if marks.next() != Some(end + 1) {
                    return Err("expected the delimiter behind the closing quote");
                }
                cells.spans.push(Span::between(text, end));
            }
        }
        Ok(())
    }

    fn plain<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut is_second = false;
        let mut text = text.to_vec();
        text.retain(|&byte| {
            is_second = byte == self.quote && !is_second;
            !is_second
        });
        Cow::Owned(text)
    }
}

impl Cut for Split {
    fn marks(&self) -> [u8; 2] {
        [self.separator[0]; 2]
    }

    fn cut(
        &self,
        block: &[u8],
        line: Span,
        marks: &[u32],
        cells: &mut Cells,
    ) -> Result<(), &'static str> {
        let line_end = line.end();
        let mut start = line.start;
        for &end in marks {
            let is_end = end == line_end
                || block[end as usize..line_end as usize].starts_with(&self.separator);
            if end >= start && is_end {
                cells.spans.push(Span::between(start, end));
                start = end + self.separator.len() as u32;
            }
        }
        Ok(())
    }

    fn plain<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(text)
    }
}

fn parse<C: Cut>(
    cut: &C,
    fields: &[FieldSpec],
    block: &Arc<Vec<u8>>,
    lines: &[Span],
) -> Parsed<(u32, String)> {
    let mut cells = Cells::new(fields.len(), fields.len() * lines.len());
    cells.is_utf8 = str::from_utf8(&block[hull(lines)]).is_ok();
    let mut odd = Vec::new();
    let mut found = Vec::new();
    for (number, &line) in lines.iter().enumerate() {
        let first = cells.spans.len();
        let is_cut = cut_line(cut, block, line, &mut found, &mut cells);
        if is_cut.is_err() || cells.spans.len() != first + fields.len() {
            cells.truncate(first);
            odd.push(number as u32);
        }
    }
    let columns = cells.columns(fields, &Csv(cut), block);
    if !cells.bad.is_empty() {
        let numbers = without(lines.len(), &odd);
        odd.extend(cells.bad.iter().map(|&row| numbers[row as usize]));
        odd.sort_unstable();
    }
    let why = |number| (number, why_bad(cut, fields, block, lines[number as usize]));
    Parsed {
        rows: lines.len() - odd.len(),
        columns,
        odd: odd.into_iter().map(why).collect(),
    }
}

#[inline]
fn cut_line(
    cut: &impl Cut,
    block: &[u8],
    line: Span,
    found: &mut Vec<u32>,
    cells: &mut Cells,
) -> Result<(), &'static str> {
    found.clear();
    marks::find(
        block,
        line.start as usize..line.end() as usize,
        cut.marks(),
        found,
    );
    found.push(line.end());
    cut.cut(block, line, found, cells)
}

/// What is wrong with a line that is no row.
#[cold]
fn why_bad(cut: &impl Cut, fields: &[FieldSpec], block: &Arc<Vec<u8>>, line: Span) -> String {
    let count = fields.len();
    let mut cells = Cells::new(count, count);
    let is_cut = cut_line(cut, block, line, &mut Vec::new(), &mut cells);
    let got = cells.spans.len();
    if let Err(why) = is_cut {
        return match fields.get(got) {
            Some(field) => format!("field `{}`: {why}", field.name),
            None => format!("field {}: {why}", got + 1),
        };
    }
    if got != count {
        let s = if count == 1 { "" } else { "s" };
        return format!("expected {count} field{s}, got {got}");
    }
    for (i, field) in fields.iter().enumerate() {
        cells.column(i, field, &Csv(cut), block);
        if !cells.bad.is_empty() {
            let text = cells.spans[i].of(block);
            let start = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
            let more = if text.len() > SHOWN { "..." } else { "" };
            let expected = match field.kind {
                Plain::Int if is_large(text) => "`int` of 64 bits",
                Plain::Str => "`str` in UTF-8",
                _ => &format!("`{}`", field.kind.name()),
            };
            let name = &field.name;
            return format!("field `{name}`: expected {expected}, got {start:?}{more}");
        }
    }
    unreachable!("a line that is no row")
}

/// Values as Python's own types read them from text.
struct Csv<'a, C>(&'a C);

impl<C: Cut> Format for Csv<'_, C> {
    fn is_null(&self, text: &[u8]) -> bool {
        text.is_empty()
    }

    fn plain<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        Some(self.0.plain(text))
    }

    #[inline]
    fn int(&self, block: &[u8], span: Span) -> Option<i64> {
        number::int(block, span).or_else(|| trim(span.of(block))?.parse().ok())
    }

    #[inline]
    fn float(&self, text: &[u8]) -> Option<f64> {
        number::float(text).or_else(|| number::float(trim(text)?.as_bytes()))
    }

    #[inline]
    fn bool(&self, text: &[u8]) -> Option<bool> {
        match text {
            b"1" => Some(true),
            b"0" => Some(false),
            _ if text.eq_ignore_ascii_case(b"true") => Some(true),
            _ if text.eq_ignore_ascii_case(b"false") => Some(false),
            _ => None,
        }
    }
}

fn trim(text: &[u8]) -> Option<&str> {
    Some(str::from_utf8(text).ok()?.trim())
}

/// Whether an int that could not be read is one.
fn is_large(text: &[u8]) -> bool {
    let digits = trim(text)
        .unwrap_or_default()
        .trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
