//! Records that the Kinesis Producer Library packs into one: four bytes of magic, a protobuf message, an MD5 sum.
//! ```text
//! AggregatedRecord { 1: partition keys, 2: hash keys, 3: repeated Record }   Record { 1: partition key, 2: hash key, 3: data, 4: tags }
//! ```
//! Lambda hands them on as they are. Must not know: what the data is.

use crate::aws::error::AwsError;
use crate::decode::proto::Reader;
use crate::error::PushError;

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const SUM_BYTES: usize = 16;

/// The data of each record inside; `None` if `data` is not aggregated. The sum is not checked: Kinesis checks its own, and a message that
/// is damaged does not parse.
pub(super) fn records(data: &[u8]) -> Option<Result<Vec<&[u8]>, AwsError>> {
    let rest = data.strip_prefix(&MAGIC)?;
    let Some((message, _sum)) = rest.len().checked_sub(SUM_BYTES).and_then(|length| rest.split_at_checked(length)) else {
        return Some(Err(AwsError::Aggregated { detail: format!("{} bytes are too few", data.len()) }));
    };
    Some(read(message).map_err(|error| AwsError::Aggregated { detail: error.to_string() }))
}

fn read(message: &[u8]) -> Result<Vec<&[u8]>, PushError> {
    let mut records = Vec::new();
    let mut fields = Reader::new(message);
    while let Some((field, wire)) = fields.field()? {
        if field != 3 {
            fields.skip(wire)?;
            continue;
        }
        let mut record = fields.message(wire)?;
        while let Some((member, kind)) = record.field()? {
            match member {
                3 => records.push(record.message(kind)?.bytes()),
                _ => record.skip(kind)?,
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Aggregated {
        #[prost(string, repeated, tag = "1")]
        partition_keys: Vec<String>,
        #[prost(message, repeated, tag = "3")]
        records: Vec<Record>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Record {
        #[prost(uint64, tag = "1")]
        partition_key: u64,
        #[prost(bytes = "vec", tag = "3")]
        data: Vec<u8>,
    }

    #[test]
    fn records_come_out_in_order() {
        let record = |data: &str| Record { partition_key: 7, data: data.as_bytes().to_vec() };
        let message = Aggregated { partition_keys: vec!["a".to_owned()], records: vec![record("one"), record("two")] }.encode_to_vec();
        let packed = [MAGIC.as_slice(), &message, &[0; SUM_BYTES]].concat();
        assert_eq!(records(&packed), Some(Ok(vec![&b"one"[..], b"two"])));
        assert_eq!(records(b"{}"), None);
        assert_eq!(records(&packed[..10]).unwrap().unwrap_err().to_string(), "aggregated Kinesis record: 10 bytes are too few");
        let cut = [MAGIC.as_slice(), &message[..message.len() - 1], &[0; SUM_BYTES]].concat();
        assert!(records(&cut).unwrap().unwrap_err().to_string().starts_with("aggregated Kinesis record: malformed protobuf: "));
    }
}
