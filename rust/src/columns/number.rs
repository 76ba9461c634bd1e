//! Numbers from text. No Python here.

use super::column::Span;

/// Decimal digits with an optional minus that fit an i64; anything else is for a slower path.
#[inline]
pub fn int(block: &[u8], span: Span) -> Option<i64> {
    let few = match (span.end() as usize).checked_sub(8) {
        Some(from) if (1..=8).contains(&span.len) => {
            last_digits(*block[from..].first_chunk()?, span.len)
        }
        _ => None,
    };
    match few {
        Some(value) => Some(value.cast_signed()),
        None => any_int(span.of(block)),
    }
}

#[inline(never)]
fn any_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Nineteen digits fit a u64.
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let (head, eights) = digits.split_at(digits.len() % 8);
    let mut value = 0;
    for &byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    for eight in eights.chunks_exact(8) {
        value = value * 100_000_000 + last_digits(*eight.first_chunk()?, 8)?;
    }
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        value.try_into().ok()
    }
}

/// The number that the last one to eight of eight bytes make, if these are digits.
#[inline]
fn last_digits(text: [u8; 8], count: u32) -> Option<u64> {
    const ONES: u64 = u64::MAX / 255;
    // The last byte is the highest; the bytes before the digits become leading zeros.
    let unused = 64 - 8 * count;
    let digits = (u64::from_le_bytes(text) ^ (0x30 * ONES)) >> unused << unused;
    if (digits | digits.wrapping_add(0x76 * ONES)) & (0x80 * ONES) != 0 {
        return None;
    }
    // Two, four and eight digits are put together; each number stands in the upper half of its own.
    let twos = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = twos.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

/// Decimals with an optional exponent, `inf` and `nan`: what Rust's own `parse` reads, and quicker.
#[inline]
pub fn float(text: &[u8]) -> Option<f64> {
    fast_float2::parse(text).ok()
}
