//! Dates and datetimes as `isoformat` writes them, and as Arrow counts them.

use std::io::Write;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The days since 1970-01-01, of `YYYY-MM-DD`.
pub fn parse_date(text: &[u8]) -> Option<i32> {
    let &[y, u, v, w, b'-', m, n, b'-', d, e] = text else {
        return None;
    };
    let (year, month, day) = (number(&[y, u, v, w])?, number(&[m, n])?, number(&[d, e])?);
    let days = days_of(year, month, day);
    (date_of(days) == Some((year, month, day))).then_some(days as i32)
}

/// The microseconds since the epoch, of `YYYY-MM-DDTHH:MM:SS[.ffffff][+HH:MM[:SS[.ffffff]]]`, and
/// whether there is an offset from UTC.
pub fn parse_datetime(text: &[u8]) -> Option<(i64, bool)> {
    let (date, [b'T', rest @ ..]) = text.split_at_checked(10)? else {
        return None;
    };
    let day = i64::from(parse_date(date)?) * DAY;
    let (time, rest) = clock(rest)?;
    match rest {
        [] => Some((day + time, false)),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (offset, []) = clock(rest)? else {
                return None;
            };
            let east = if *sign == b'+' { offset } else { -offset };
            Some((day + time - east, true))
        }
        _ => None,
    }
}

/// The microseconds of `HH:MM[:SS[.ffffff]]`, and what follows.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[h, i, b':', m, n], mut rest) = text.split_first_chunk()? else {
        return None;
    };
    let (hours, minutes) = (number(&[h, i])?, number(&[m, n])?);
    let (mut seconds, mut micros) = (0, 0);
    if let Some((&[b':', s, t], after)) = rest.split_first_chunk() {
        (seconds, rest) = (number(&[s, t])?, after);
        if let Some((&[b'.', ref digits @ ..], after)) = rest.split_first_chunk::<7>() {
            (micros, rest) = (number(digits)?, after);
        }
    }
    let within = hours < 24 && minutes < 60 && seconds < 60;
    let seconds = (hours * 60 + minutes) * 60 + seconds;
    within.then_some((seconds * SECOND + micros, rest))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(number * 10 + i64::from(digit))
    })
}

/// Appends `YYYY-MM-DD`; None if Python has no such date.
pub fn write_date(days: i64, out: &mut Vec<u8>) -> Option<()> {
    let (year, month, day) = date_of(days)?;
    write!(out, "{year:04}-{month:02}-{day:02}").ok()
}

/// Appends what `isoformat` writes for a datetime in UTC or without a zone; None if Python has no
/// such datetime.
pub fn write_datetime(micros: i64, aware: bool, out: &mut Vec<u8>) -> Option<()> {
    write_date(micros.div_euclid(DAY), out)?;
    let micros = micros.rem_euclid(DAY);
    let (seconds, micros) = (micros / SECOND, micros % SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "T{hour:02}:{minute:02}:{second:02}").ok()?;
    if micros != 0 {
        write!(out, ".{micros:06}").ok()?;
    }
    if aware {
        out.extend_from_slice(b"+00:00");
    }
    Some(())
}

// The two below are Howard Hinnant's `days_from_civil` and `civil_from_days`: years begin in March,
// so that the leap day is the last.

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let day = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

/// None beyond the years that Python knows.
fn date_of(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let day = day - (153 * march + 2) / 5 + 1;
    let month = (march + 2) % 12 + 1;
    let year = year + era * 400 + i64::from(month <= 2);
    (1..=9999).contains(&year).then_some((year, month, day))
}
