//! Numbers in memory of others: NumPy's and Arrow's.

use crate::columns::column::Values;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Number {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    /// Bytes that are 0 for false.
    Bool,
}

impl Number {
    /// In bytes.
    pub fn size(self) -> usize {
        match self {
            Number::I8 | Number::U8 | Number::Bool => 1,
            Number::I16 | Number::U16 => 2,
            Number::I32 | Number::U32 | Number::F32 => 4,
            Number::I64 | Number::U64 | Number::F64 => 8,
        }
    }
}

/// `len` numbers, `stride` bytes apart, aligned or not.
pub struct Numbers {
    pub number: Number,
    pub first: *const u8,
    pub stride: isize,
    pub len: usize,
}

/// Why numbers do not fit a column.
pub enum Misfit {
    Type,
    Row(usize),
}

impl Numbers {
    /// Appends the numbers where all can be converted without loss, but for rows that are None.
    ///
    /// # Safety
    /// The memory can be read.
    pub unsafe fn append(&self, nulls: Option<&[bool]>, values: &mut Values) -> Result<(), Misfit> {
        // SAFETY: as the caller promises.
        unsafe {
            match self.number {
                Number::I8 => self.read::<i8>(nulls, values),
                Number::I16 => self.read::<i16>(nulls, values),
                Number::I32 => self.read::<i32>(nulls, values),
                Number::I64 => self.read::<i64>(nulls, values),
                Number::U8 => self.read::<u8>(nulls, values),
                Number::U16 => self.read::<u16>(nulls, values),
                Number::U32 => self.read::<u32>(nulls, values),
                Number::U64 => self.read::<u64>(nulls, values),
                Number::F32 => self.read::<f32>(nulls, values),
                Number::F64 => self.read::<f64>(nulls, values),
                Number::Bool => self.read::<Truth>(nulls, values),
            }
        }
    }

    /// # Safety
    /// The memory can be read, and the numbers are of type `T`.
    unsafe fn read<T: Native>(
        &self,
        nulls: Option<&[bool]>,
        values: &mut Values,
    ) -> Result<(), Misfit> {
        let numbers = (0..self.len).map(|i| {
            // SAFETY: as the caller promises, for all numbers below `len`.
            unsafe {
                let at = self.first.byte_offset(i.cast_signed() * self.stride);
                at.cast::<T>().read_unaligned()
            }
        });
        match values {
            Values::Int(ints) => extend(ints, numbers, T::INT, nulls),
            Values::Float(floats) => extend(floats, numbers, T::FLOAT, nulls),
            Values::Bool(bools) => extend(bools, numbers, T::BOOL, nulls),
            Values::Text(_) | Values::Same(_) => Err(Misfit::Type),
        }
    }
}

#[inline]
fn extend<T, U: Default>(
    into: &mut Vec<U>,
    numbers: impl ExactSizeIterator<Item = T>,
    convert: Option<fn(T) -> Option<U>>,
    nulls: Option<&[bool]>,
) -> Result<(), Misfit> {
    let convert = convert.ok_or(Misfit::Type)?;
    into.reserve(numbers.len());
    for (row, number) in numbers.enumerate() {
        let none = || nulls.is_some_and(|nulls| nulls[row]).then(U::default);
        into.push(convert(number).or_else(none).ok_or(Misfit::Row(row))?);
    }
    Ok(())
}

/// A number as it stands in memory, and its conversions: None for a type that takes no such number.
trait Native: Copy {
    const INT: Option<fn(Self) -> Option<i64>> = None;
    const FLOAT: Option<fn(Self) -> Option<f64>> = None;
    const BOOL: Option<fn(Self) -> Option<bool>> = None;
}

macro_rules! native_ints {
    ($($int:ty)*) => {$(
        impl Native for $int {
            const INT: Option<fn(Self) -> Option<i64>> = Some(|int| int.try_into().ok());
            const FLOAT: Option<fn(Self) -> Option<f64>> = Some(|int| {
                // The largest int of 64 bits is no float, but the float above it is cast to it.
                let inexact = size_of::<$int>() == 8 && int == <$int>::MAX;
                let float = int as f64;
                (float as $int == int && !inexact).then_some(float)
            });
        }
    )*};
}

native_ints!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Native for f32 {
    const FLOAT: Option<fn(Self) -> Option<f64>> = Some(|float| Some(float.into()));
}

impl Native for f64 {
    const FLOAT: Option<fn(Self) -> Option<f64>> = Some(Some);
}

#[derive(Clone, Copy)]
struct Truth(u8);

impl Native for Truth {
    const INT: Option<fn(Self) -> Option<i64>> = Some(|truth| Some((truth.0 != 0).into()));
    const FLOAT: Option<fn(Self) -> Option<f64>> = Some(|truth| Some((truth.0 != 0).into()));
    const BOOL: Option<fn(Self) -> Option<bool>> = Some(|truth| Some(truth.0 != 0));
}
