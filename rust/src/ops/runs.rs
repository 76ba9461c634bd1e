//! Runs of the characters of a class, found 64 bytes at a time.

use regex_syntax::hir::ClassUnicode;

use crate::columns::column::Span;

/// A set of bytes that are all below 0x80 (`flip` is 0) or none is (`flip` is 0x80). A byte is a
/// member if `b = byte ^ flip` is below 0x80 and bit `b >> 4` of row `b & 15` is set, which SSSE3
/// looks up for 16 bytes at once.
struct ByteSet {
    rows: [u8; 16],
    flip: u8,
}

const WIDE: ByteSet = ByteSet {
    rows: [0xff; 16],
    flip: 0x80,
};

impl ByteSet {
    fn new(flip: u8, member: impl Fn(u8) -> bool) -> Self {
        let mut rows = [0; 16];
        for b in (0..0x80).filter(|b| member(b ^ flip)) {
            rows[usize::from(b & 15)] |= 1 << (b >> 4);
        }
        Self { rows, flip }
    }

    /// Which of these bytes are members, the first byte in the lowest bit.
    fn among(&self, bytes: &[u8; 64]) -> u64 {
        let member = |byte: u8| {
            let b = byte ^ self.flip;
            b < 0x80 && self.rows[usize::from(b & 15)] >> (b >> 4) & 1 != 0
        };
        (0..64).fold(0, |found, i| found | u64::from(member(bytes[i])) << i)
    }
}

/// A class of characters.
pub struct Class {
    ascii: ByteSet,
    /// All bits set if most characters beyond ASCII are members, else none.
    rest: u64,
    /// The lead bytes with characters that are not like the rest: only these are looked up.
    mixed: ByteSet,
    /// A bit for each code point.
    bits: Vec<u64>,
}

impl Class {
    pub fn new(class: &ClassUnicode) -> Self {
        const WORDS: usize = 0x11_0000 / 64;
        let mut bits = vec![0; WORDS];
        for range in class.ranges() {
            let (first, last) = (range.start() as usize, range.end() as usize);
            for (i, word) in bits[first / 64..=last / 64].iter_mut().enumerate() {
                let base = (first / 64 + i) * 64;
                let from = first.saturating_sub(base);
                let to = (base + 63).saturating_sub(last);
                *word |= (!0 << from) & (!0 >> to);
            }
        }
        let led = |lead: u8| {
            let low = |mask: u8| usize::from(lead & mask);
            &bits[match lead {
                0xc2..0xe0 => low(31)..low(31) + 1,
                0xe0..0xf0 => (low(15) << 6).max(0x20)..(low(15) + 1) << 6,
                0xf0..=0xf4 => (low(7) << 12).max(0x400)..((low(7) + 1) << 12).min(WORDS),
                _ => 0..0,
            }]
        };
        let differ = |lead: u8, rest: u64| led(lead).iter().any(|&word| word != rest);
        let mixed = |rest: u64| (0xc2..=0xf4).filter(|&lead| differ(lead, rest)).count();
        let rest = if mixed(!0) < mixed(0) { !0 } else { 0 };
        Self {
            ascii: ByteSet::new(0, |b| bits[usize::from(b / 64)] >> (b % 64) & 1 != 0),
            rest,
            mixed: ByteSet::new(0x80, |lead| differ(lead, rest)),
            bits,
        }
    }

    /// Appends the longest runs of members in a text, which is UTF-8.
    pub fn runs(&self, data: &[u8], text: Span, out: &mut Vec<Span>) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("ssse3") {
            // SAFETY: the processor was asked.
            return unsafe { x86::runs(self, data, text, out) };
        }
        self.runs_anywhere(data, text, out);
    }

    /// `runs` for any processor.
    pub fn runs_anywhere(&self, data: &[u8], text: Span, out: &mut Vec<Span>) {
        self.scan(data, text, out, ByteSet::among);
    }

    #[inline(always)]
    fn scan(
        &self,
        data: &[u8],
        text: Span,
        out: &mut Vec<Span>,
        among: impl Fn(&ByteSet, &[u8; 64]) -> u64,
    ) {
        let data = &data[..(text.start + text.len) as usize];
        let mut padded = [0; 64];
        // Where the last run began, whether it goes on in the next 64 bytes, and which of them still
        // belong to a character that is not like the rest.
        let (mut start, mut open, mut spill) = (0, 0, 0);
        for at in (text.start..text.start + text.len).step_by(64) {
            let left = &data[at as usize..];
            let bytes = left.first_chunk().unwrap_or_else(|| {
                padded[..left.len()].copy_from_slice(left);
                &padded
            });
            let mut members = among(&self.ascii, bytes);
            if !bytes.is_ascii() {
                let mut flips = u128::from(spill);
                let mut leads = among(&self.mixed, bytes);
                while leads != 0 {
                    let i = leads.trailing_zeros();
                    leads &= leads - 1;
                    let (member, width) = self.look_up(&left[i as usize..]);
                    if member != self.rest & 1 {
                        flips |= ((1 << width) - 1) << i;
                    }
                }
                members |= among(&WIDE, bytes) & self.rest;
                members ^= flips as u64;
                spill = (flips >> 64) as u64;
            }
            if left.len() < 64 {
                members &= (1 << left.len()) - 1;
            }
            let before = members << 1 | open;
            let mut starts = members & !before;
            let mut ends = before & !members;
            if open == 0 {
                start = at + starts.trailing_zeros();
                starts &= starts.wrapping_sub(1);
            }
            open = members >> 63;
            while ends != 0 {
                let end = at + ends.trailing_zeros();
                let len = end - start;
                out.push(Span { start, len });
                start = at + starts.trailing_zeros();
                starts &= starts.wrapping_sub(1);
                ends &= ends - 1;
            }
        }
        if open != 0 {
            let len = text.start + text.len - start;
            out.push(Span { start, len });
        }
    }

    /// Whether the character beyond ASCII that starts here is a member, and its length.
    #[inline(always)]
    fn look_up(&self, text: &[u8]) -> (u64, u32) {
        let low = |i: usize, mask: u8| usize::from(text[i] & mask);
        let (word, bit, width) = match text[0] {
            ..0xe0 => (low(0, 31), low(1, 63), 2),
            0xe0..0xf0 => (low(0, 15) << 6 | low(1, 63), low(2, 63), 3),
            0xf0.. => (
                low(0, 7) << 12 | low(1, 63) << 6 | low(2, 63),
                low(3, 63),
                4,
            ),
        };
        (self.bits[word] >> bit & 1, width)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{ByteSet, Class, Span};

    #[target_feature(enable = "ssse3")]
    pub fn runs(class: &Class, data: &[u8], text: Span, out: &mut Vec<Span>) {
        class.scan(data, text, out, |set, bytes| among(set, bytes));
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn among(set: &ByteSet, bytes: &[u8; 64]) -> u64 {
        let bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
        let rows = load(&set.rows);
        let flip = _mm_set1_epi8(set.flip as i8);
        let mut others = 0;
        for (i, part) in bytes.chunks_exact(16).enumerate() {
            let b = _mm_xor_si128(load(part), flip);
            let high = _mm_and_si128(_mm_srli_epi16(b, 4), _mm_set1_epi8(15));
            let found = _mm_and_si128(_mm_shuffle_epi8(rows, b), _mm_shuffle_epi8(bits, high));
            let none = _mm_movemask_epi8(_mm_cmpeq_epi8(found, _mm_setzero_si128()));
            others |= (none as u64) << (16 * i);
        }
        !others
    }

    #[inline]
    fn load(bytes: &[u8]) -> __m128i {
        assert!(bytes.len() == 16);
        // SAFETY: 16 bytes, however aligned.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }
}
