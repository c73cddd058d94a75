//! A walk over Thrift compact bytes before they are given to the parquet crate.
//! Owns: the promise that every length in a footer fits into the footer. The parquet crate reserves memory for the row groups and pages that a footer announces
//! before it reads them, and an allocation that fails ends the process.
//! Must not know: what the fields mean.

/// Nesting of Parquet's own structures is below 10.
const MAX_DEPTH: u32 = 32;

/// Bytes that are no Thrift struct, or announce more than they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThriftError;

/// Checks that `bytes` begin with one struct all of whose lengths and counts fit into `bytes`.
pub(crate) fn check_struct(bytes: &[u8]) -> Result<(), ThriftError> {
    Walk { rest: bytes }.fields(MAX_DEPTH)
}

struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Result<u8, ThriftError> {
        let (byte, rest) = self.rest.split_first().ok_or(ThriftError)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn varint(&mut self) -> Result<u64, ThriftError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ThriftError)
    }

    /// A length or count; whatever it counts is at least a byte.
    fn count(&mut self) -> Result<usize, ThriftError> {
        let count = usize::try_from(self.varint()?).map_err(|_| ThriftError)?;
        if count <= self.rest.len() { Ok(count) } else { Err(ThriftError) }
    }

    fn skip(&mut self, length: usize) -> Result<(), ThriftError> {
        self.rest = self.rest.get(length..).ok_or(ThriftError)?;
        Ok(())
    }

    fn fields(&mut self, depth: u32) -> Result<(), ThriftError> {
        let depth = depth.checked_sub(1).ok_or(ThriftError)?;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Ok(());
            }
            // The upper half is the step from the field id before; 0 means that the id follows in full.
            if header >> 4 == 0 {
                self.varint()?;
            }
            match header & 0x0f {
                // A boolean field has its value in its type.
                1 | 2 => {}
                kind => self.value(kind, depth)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Result<(), ThriftError> {
        match kind {
            3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.count()?;
                self.skip(length)
            }
            9 | 10 => self.list(depth),
            12 => self.fields(depth),
            // Maps (11), UUIDs (13) and lists of booleans (1, 2) occur nowhere in Parquet's footers.
            _ => Err(ThriftError),
        }
    }

    fn list(&mut self, depth: u32) -> Result<(), ThriftError> {
        let depth = depth.checked_sub(1).ok_or(ThriftError)?;
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.count()?,
            short => usize::from(short),
        };
        // Lists of booleans occur nowhere in Parquet's footers, and the parquet crate skips them without reading a byte: what
        // it then takes for counts was not checked here.
        (0..count).try_for_each(|_| self.value(header & 0x0f, depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_fit() {
        // Field 1, binary of 3 bytes; stop.
        assert_eq!(check_struct(&[0x18, 3, b'a', b'b', b'c', 0]), Ok(()));
        assert_eq!(check_struct(&[0x18, 4, b'a', b'b', b'c']), Err(ThriftError));
        // Field 1, list of 2 structs, each with a boolean field 1.
        assert_eq!(check_struct(&[0x19, 0x2c, 0x11, 0, 0x12, 0, 0]), Ok(()));
        assert_eq!(check_struct(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x11, 0, 0]), Err(ThriftError));
        assert_eq!(check_struct(&[]), Err(ThriftError));
        assert_eq!(check_struct(&[0x16, 0x80]), Err(ThriftError));
    }

    #[test]
    fn a_list_of_booleans_is_refused() {
        // Field 1, list of 3 booleans: 1, 2, 1.
        assert_eq!(check_struct(&[0x19, 0x31, 1, 2, 1, 0]), Err(ThriftError));
        assert_eq!(check_struct(&[0x19, 0x32, 1, 2, 1, 0]), Err(ThriftError));
    }

    #[test]
    fn nesting_has_an_end() {
        assert_eq!(check_struct(&[0x1c; 1000]), Err(ThriftError));
        assert_eq!(check_struct(&[0x19; 1000]), Err(ThriftError));
    }
}
