//! Finding bytes, 64 at a time. No Python here.

use std::ops::Range;

/// Appends where any of these bytes stands in a range of a block, in order.
///
/// # Panics
/// If the range does not end in the first 4 GiB: blocks are cut long before.
#[inline]
pub fn find<const N: usize>(block: &[u8], range: Range<usize>, bytes: [u8; N], out: &mut Vec<u32>) {
    assert!(u32::try_from(range.end).is_ok(), "a block is below 4 GiB");
    let end = range.end;
    for base in range.step_by(64) {
        let rest = &block[base..];
        let mut mask = match rest.first_chunk() {
            Some(chunk) => mask(chunk, bytes),
            None => padded_mask(rest, bytes),
        };
        if end - base < 64 {
            mask &= (1 << (end - base)) - 1;
        }
        while mask != 0 {
            out.push(base as u32 + mask.trailing_zeros());
            mask &= mask - 1;
        }
    }
}

#[cold]
fn padded_mask<const N: usize>(rest: &[u8], bytes: [u8; N]) -> u64 {
    let mut padded = [0; 64];
    padded[..rest.len()].copy_from_slice(rest);
    mask(&padded, bytes)
}

/// A bit for each byte of the chunk that is one of these.
#[cfg(target_arch = "x86_64")]
#[inline]
fn mask<const N: usize>(chunk: &[u8; 64], bytes: [u8; N]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_setzero_si128,
    };
    let parts = chunk.chunks_exact(16).enumerate();
    // SAFETY: every x86-64 has SSE2; the loads are of 16 bytes of the chunk and need no alignment.
    parts.fold(0, |mask, (i, part)| unsafe {
        let part = _mm_loadu_si128(part.as_ptr().cast());
        let found = bytes.iter().fold(_mm_setzero_si128(), |found, byte| {
            let equal = _mm_cmpeq_epi8(part, _mm_set1_epi8(byte.cast_signed()));
            _mm_or_si128(found, equal)
        });
        mask | u64::from(_mm_movemask_epi8(found).cast_unsigned()) << (16 * i)
    })
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn mask<const N: usize>(chunk: &[u8; 64], bytes: [u8; N]) -> u64 {
    portable_mask(chunk, bytes)
}

/// The same, eight bytes at a time in a `u64`.
#[allow(dead_code, reason = "on x86-64, tests alone compare the two")]
pub fn portable_mask<const N: usize>(chunk: &[u8; 64], bytes: [u8; N]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const LOW: u64 = 0x7f * ONES;
    let parts = chunk.chunks_exact(8).enumerate();
    parts.fold(0, |mask, (i, part)| {
        let part = u64::from_le_bytes(part.try_into().expect("eight bytes"));
        // The high bit of each byte that is none of those looked for.
        let others = bytes.iter().fold(u64::MAX, |others, &byte| {
            let differs = part ^ (ONES * u64::from(byte));
            others & (((differs & LOW) + LOW) | differs)
        });
        // The others' complement in the lowest bits, then these eight side by side.
        let found = (!others & !LOW) >> 7;
        mask | (found.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i)
    })
}
