//! Columns from rows of CSV, and from fields with a plain separator. No Python here.

use std::borrow::Cow;

use triomphe::Arc;

use crate::columns::column::Span;
use crate::columns::parse::{Cells, FieldSpec, Format, Parsed, Plain, hull, without};
use crate::columns::quotes::QUOTE;
use crate::columns::{marks, number};

/// How much of a bad field a message shows.
const SHOWN: usize = 60;

/// What is read of rows.
pub struct Layout {
    pub fields: Vec<FieldSpec>,
    /// For each field the number of its column.
    pub columns: Vec<usize>,
    /// How many columns a row has: at least one.
    pub width: usize,
}

impl Layout {
    /// Rows of these fields and no others.
    pub fn of(fields: Vec<FieldSpec>) -> Self {
        Self {
            columns: (0..fields.len()).collect(),
            width: fields.len(),
            fields,
        }
    }

    /// The field in a column, if it is one that is read.
    fn field_in(&self, column: usize) -> Option<&FieldSpec> {
        let field = self.columns.iter().position(|&other| other == column);
        field.map(|field| &self.fields[field])
    }
}

/// Why a line is no row: what of it is wrong, as counters name it, and the whole story.
#[derive(Debug)]
pub struct Bad {
    pub what: &'static str,
    pub why: String,
}

/// A row of CSV (RFC 4180) a line. A field that begins with a quote ends with one, and quotes inside
/// of it are doubled; all other quotes are text.
pub struct ParseCsv {
    pub layout: Layout,
    /// ASCII, as is the quote.
    pub delimiter: u8,
    pub quote: u8,
}

/// Fields with separators between them a line.
pub struct Split {
    pub layout: Layout,
    /// UTF-8 of at least one byte.
    pub separator: Vec<u8>,
}

impl ParseCsv {
    /// The rows in these lines of a block. Of a line that is none, its number and why.
    ///
    /// # Panics
    /// If rows have no columns.
    pub fn parse(&self, block: &Arc<Vec<u8>>, lines: &[Span]) -> Parsed<(u32, Bad)> {
        parse(self, &self.layout, block, lines)
    }
}

impl Split {
    /// The rows in these lines of a block. Of a line that is none, its number and why.
    ///
    /// # Panics
    /// If rows have no columns, or there is no separator.
    pub fn parse(&self, block: &Arc<Vec<u8>>, lines: &[Span]) -> Parsed<(u32, Bad)> {
        parse(self, &self.layout, block, lines)
    }
}

/// The fields of a line of CSV.
///
/// # Errors
/// Why it is no row.
pub fn row_fields(delimiter: u8, line: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, String> {
    let csv = ParseCsv {
        layout: Layout::of(Vec::new()),
        delimiter,
        quote: QUOTE,
    };
    let mut cells = Cells::new(1, 0);
    let span = Span::new(0, line.len());
    cut_line(&csv, line, span, &mut Vec::new(), &mut cells)
        .map_err(|why| format!("field {}: {why}", cells.spans.len() + 1))?;
    let mut escaped = cells.escaped.into_iter().peekable();
    let fields = cells.spans.iter().enumerate();
    let fields = fields.map(|(i, span)| match escaped.next_if_eq(&(i as u32)) {
        Some(_) => csv.plain(span.of(line)),
        None => Cow::Borrowed(span.of(line)),
    });
    Ok(fields.collect())
}

/// How a line is cut into fields, where these bytes are marks.
trait Cut {
    fn marks(&self) -> [u8; 2];

    /// Adds the fields of a line. The last mark is the end of the line. An empty field in quotes is
    /// one with escapes.
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
                        .ok_or("expected a closing quote in the same row")?;
                    if is_quote(end) {
                        if !is_quote(end + 1) {
                            break;
                        }
                        escaped = true;
                        marks.next();
                    }
                }
                if escaped || text == end {
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
        if text.is_empty() {
            return Cow::Borrowed(text);
        }
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
    layout: &Layout,
    block: &Arc<Vec<u8>>,
    lines: &[Span],
) -> Parsed<(u32, Bad)> {
    let mut cells = Cells::new(layout.width, layout.width * lines.len());
    cells.is_utf8 = str::from_utf8(&block[hull(lines)]).is_ok();
    let mut odd = Vec::new();
    let mut found = Vec::new();
    for (number, &line) in lines.iter().enumerate() {
        let first = cells.spans.len();
        let is_cut = cut_line(cut, block, line, &mut found, &mut cells);
        if is_cut.is_err() || cells.spans.len() != first + layout.width {
            cells.truncate(first);
            odd.push(number as u32);
        }
    }
    let places = layout.columns.iter().copied();
    let columns = cells.columns_at(places, &layout.fields, &Csv(cut), block);
    if !cells.bad.is_empty() {
        let numbers = without(lines.len(), &odd);
        odd.extend(cells.bad.iter().map(|&row| numbers[row as usize]));
        odd.sort_unstable();
    }
    let why = |number| (number, why_bad(cut, layout, block, lines[number as usize]));
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
fn why_bad(cut: &impl Cut, layout: &Layout, block: &Arc<Vec<u8>>, line: Span) -> Bad {
    let count = layout.width;
    let mut cells = Cells::new(count, count);
    let is_cut = cut_line(cut, block, line, &mut Vec::new(), &mut cells);
    let got = cells.spans.len();
    if let Err(why) = is_cut {
        let why = match layout.field_in(got) {
            Some(field) => format!("field `{}`: {why}", field.name),
            None => format!("field {}: {why}", got + 1),
        };
        let what = "quotes";
        return Bad { what, why };
    }
    if got != count {
        let s = if count == 1 { "" } else { "s" };
        let why = format!("expected {count} field{s}, got {got}");
        let what = "columns";
        return Bad { what, why };
    }
    for (field, &column) in layout.fields.iter().zip(&layout.columns) {
        cells.column(column, field, &Csv(cut), block);
        if !cells.bad.is_empty() {
            let text = cells.spans[column].of(block);
            let expected = match field.kind {
                Plain::Int if is_large(text) => "`int` of 64 bits",
                Plain::Str => "`str` in UTF-8",
                _ => &format!("`{}`", field.kind.name()),
            };
            let (name, got) = (&field.name, shown(text));
            let why = format!("field `{name}`: expected {expected}, got {got}");
            let what = field.kind.name();
            return Bad { what, why };
        }
    }
    unreachable!("a line that is no row")
}

/// A text as messages show it.
pub fn shown(text: &[u8]) -> String {
    let start = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
    let more = if text.len() > SHOWN { "..." } else { "" };
    format!("{start:?}{more}")
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
