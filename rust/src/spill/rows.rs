//! Rows of columns as bytes and back, exactly. No Python here.
//!
//! A value begins with a byte that is 0 for None. A text is its length + 1, seven bits a byte, and
//! its bytes; an int the number of its bytes + 1 and those of its zigzag form; a float 1 and its
//! bits; a bool 1 or 2.

use triomphe::Arc;

use crate::columns::column::{Batch, Column, Span, Text, Values};

/// Whether a column stands in rows. One of a single int stands for a field that nobody asks for.
fn is_kept(like: &Column) -> bool {
    !matches!(like.values, Values::Same(_))
}

/// Appends a row: of its columns those that `like` keeps.
pub fn write(columns: &[Column], like: &[Column], row: usize, out: &mut Vec<u8>) {
    let kept = columns.iter().zip(like).filter(|(_, like)| is_kept(like));
    for (column, _) in kept {
        if column.is_null(row) {
            out.push(0);
            continue;
        }
        match &column.values {
            Values::Text(text) => {
                let text = text.get(row);
                write_number(text.len() as u64 + 1, out);
                out.extend_from_slice(text);
            }
            Values::Int(_) | Values::Same(_) => {
                let int = column.int(row);
                let zigzag = (int << 1 ^ int >> 63).cast_unsigned();
                let len = (64 - zigzag.leading_zeros()).div_ceil(8) as usize;
                out.push(len as u8 + 1);
                out.extend_from_slice(&zigzag.to_le_bytes()[..len]);
            }
            Values::Float(floats) => {
                out.push(1);
                out.extend_from_slice(&floats[row].to_bits().to_le_bytes());
            }
            Values::Bool(bools) => out.push(1 + u8::from(bools[row])),
        }
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The rows that a block consists of, in columns like these; texts stay in it. None if it is damaged.
///
/// # Panics
/// If the block is not below 4 GiB.
pub fn read(block: Vec<u8>, rows: usize, like: &[Column]) -> Option<Batch> {
    let block = Arc::new(block);
    let mut columns: Vec<Column> = like
        .iter()
        .map(|like| match &like.values {
            Values::Text(_) => Values::Text(Text {
                data: Arc::clone(&block),
                spans: Vec::with_capacity(rows),
            })
            .into(),
            Values::Same(int) => Values::Same(*int).into(),
            _ => like.empty_like(),
        })
        .collect();
    let mut rest = Rest {
        block: &block,
        at: 0,
    };
    for row in 0..rows {
        for (column, _) in columns
            .iter_mut()
            .zip(like)
            .filter(|(_, like)| is_kept(like))
        {
            let null = rest.value(column)?;
            column.note_null(row, null);
        }
    }
    (rest.at == block.len()).then_some(Batch {
        rows,
        columns,
        origin: None,
    })
}

/// What has not been read yet.
struct Rest<'a> {
    block: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    /// Appends the next value to a column; tells whether it is None.
    #[inline]
    fn value(&mut self, column: &mut Column) -> Option<bool> {
        let null = *self.block.get(self.at)? == 0;
        match &mut column.values {
            Values::Text(text) => {
                let len = self.number()?.saturating_sub(1);
                let start = self.at;
                self.bytes(usize::try_from(len).ok()?)?;
                text.spans.push(Span::new(start, self.at - start));
            }
            Values::Int(ints) => {
                let len = usize::from(self.byte()?).saturating_sub(1);
                let mut zigzag = [0; 8];
                zigzag.get_mut(..len)?.copy_from_slice(self.bytes(len)?);
                let zigzag = u64::from_le_bytes(zigzag);
                ints.push((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
            Values::Float(floats) => floats.push(match self.byte()? {
                0 => 0.0,
                _ => f64::from_le_bytes(self.bytes(8)?.try_into().ok()?),
            }),
            Values::Bool(bools) => bools.push(self.byte()? == 2),
            Values::Same(_) => unreachable!("stands in no row"),
        }
        Some(null)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.block.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn bytes(&mut self, len: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(len)?;
        let bytes = self.block.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
