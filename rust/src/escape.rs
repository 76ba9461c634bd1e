//! Escapes of the text format. No Python here, so that `tests/` can run without it.

use std::borrow::Cow;

/// The letter behind the backslash, for every byte that needs one.
const LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    letters[b'\\' as usize] = b'\\';
    letters[b'\t' as usize] = b't';
    letters[b'\n' as usize] = b'n';
    letters[b'\r' as usize] = b'r';
    letters
};

/// Appends the text at `start..start + len` of some data, with everything escaped that would end a
/// field or a line.
#[inline]
pub fn escape_at(data: &[u8], start: usize, len: usize, out: &mut Vec<u8>) {
    // Short texts, which most are, are checked and copied as one register, and the rest cut off.
    if len <= 16
        && let Some(lane) = data.get(start..start + 16)
    {
        let lane: &[u8; 16] = lane.try_into().unwrap();
        if marked(lane) & ((1 << len) - 1) == 0 {
            let done = out.len();
            out.extend_from_slice(lane);
            out.truncate(done + len);
            return;
        }
    }
    escape(&data[start..start + len], out);
}

/// A bit for each byte that has to be escaped.
#[cfg(target_arch = "x86_64")]
#[inline]
fn marked(lane: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: every x86-64 has SSE2; 16 bytes are read where there are as many.
    unsafe {
        let lane = _mm_loadu_si128(lane.as_ptr().cast());
        let equal = |byte: u8| _mm_cmpeq_epi8(lane, _mm_set1_epi8(byte.cast_signed()));
        let ends = _mm_or_si128(equal(b'\t'), equal(b'\n'));
        let others = _mm_or_si128(equal(b'\r'), equal(b'\\'));
        _mm_movemask_epi8(_mm_or_si128(ends, others)).cast_unsigned()
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn marked(lane: &[u8; 16]) -> u32 {
    let bit = |(i, &byte): (usize, &u8)| u32::from(LETTERS[usize::from(byte)] != 0) << i;
    lane.iter().enumerate().map(bit).sum()
}

/// Appends text with everything escaped that would end a field or a line.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut done = 0;
    for (i, &byte) in text.iter().enumerate() {
        let letter = LETTERS[usize::from(byte)];
        if letter == 0 {
            continue;
        }
        out.extend_from_slice(&text[done..i]);
        out.extend_from_slice(&[b'\\', letter]);
        done = i + 1;
    }
    out.extend_from_slice(&text[done..]);
}

/// Appends bytes as printable ASCII.
pub fn escape_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(&[
                b'\\',
                b'x',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
        }
    }
}

/// The field without its escapes.
pub fn unescape(field: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if memchr::memchr(b'\\', field).is_none() {
        return Ok(Cow::Borrowed(field));
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => out.push(b'\\'),
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'x') => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
                _ => return Err("expected two hexadecimal digits after `\\x`".into()),
            },
            Some(b'N') => return Err("expected a value, got `\\N` (None)".into()),
            Some(&other) => {
                let other = char::from(other);
                return Err(format!(
                    "expected an escape (\\\\ \\t \\n \\r \\x), got `\\{other}`"
                ));
            }
            None => return Err("expected an escape, got a backslash at the end".into()),
        }
    }
    Ok(Cow::Owned(out))
}

/// Decimal digits with an optional minus that fit an i64; anything else is for the slow path.
pub fn parse_int(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}
