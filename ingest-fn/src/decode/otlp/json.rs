//! OTLP in JSON becomes OTLP in protobuf: member names to field numbers, text to bytes. What it means is for the walk of protobuf to say.
//! Names are taken in lowerCamelCase, as the specification wants, and as the `.proto` files spell them. 64-bit integers are strings or numbers, ids
//! hexadecimal, bytes base64, severities numbers or names. Unknown members are passed over, `null` is as good as nothing.
//! The result is at most about twice as long as the text, since the shortest object, `{}`, becomes a tag and a length of five bytes.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::value::MAX_DEPTH;
use crate::decode::json::cursor::{Arena, Cursor, Text, malformed};
use crate::error::PushError;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Bytes of a length that is only known when the message is written.
const LENGTH_BYTES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Request,
    ResourceLogs,
    Resource,
    ScopeLogs,
    Scope,
    LogRecord,
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    One(Message),
    Many(Message),
    Text,
    Bool,
    Int64,
    Uint32,
    Fixed64,
    Fixed32,
    Double,
    Hex,
    Base64,
    Severity,
}

#[derive(Debug)]
struct Field {
    camel: &'static str,
    snake: &'static str,
    number: u32,
    kind: Kind,
}

const fn field(camel: &'static str, snake: &'static str, number: u32, kind: Kind) -> Field {
    Field { camel, snake, number, kind }
}

impl Message {
    fn fields(self) -> &'static [Field] {
        use Kind::{Base64, Bool, Double, Fixed32, Fixed64, Hex, Int64, Many, One, Severity, Text, Uint32};
        match self {
            Self::Request => const { &[field("resourceLogs", "resource_logs", 1, Many(Self::ResourceLogs))] },
            Self::ResourceLogs => {
                const { &[field("resource", "resource", 1, One(Self::Resource)), field("scopeLogs", "scope_logs", 2, Many(Self::ScopeLogs))] }
            }
            Self::Resource => const { &[field("attributes", "attributes", 1, Many(Self::KeyValue))] },
            Self::ScopeLogs => const { &[field("scope", "scope", 1, One(Self::Scope)), field("logRecords", "log_records", 2, Many(Self::LogRecord))] },
            Self::Scope => {
                const {
                    &[
                        field("name", "name", 1, Text),
                        field("version", "version", 2, Text),
                        field("attributes", "attributes", 3, Many(Self::KeyValue)),
                        field("droppedAttributesCount", "dropped_attributes_count", 4, Uint32),
                    ]
                }
            }
            Self::LogRecord => {
                const {
                    &[
                        field("timeUnixNano", "time_unix_nano", 1, Fixed64),
                        field("observedTimeUnixNano", "observed_time_unix_nano", 11, Fixed64),
                        field("severityNumber", "severity_number", 2, Severity),
                        field("severityText", "severity_text", 3, Text),
                        field("body", "body", 5, One(Self::AnyValue)),
                        field("attributes", "attributes", 6, Many(Self::KeyValue)),
                        field("droppedAttributesCount", "dropped_attributes_count", 7, Uint32),
                        field("flags", "flags", 8, Fixed32),
                        field("traceId", "trace_id", 9, Hex),
                        field("spanId", "span_id", 10, Hex),
                        field("eventName", "event_name", 12, Text),
                    ]
                }
            }
            Self::KeyValue => const { &[field("key", "key", 1, Text), field("value", "value", 2, One(Self::AnyValue))] },
            Self::AnyValue => {
                const {
                    &[
                        field("stringValue", "string_value", 1, Text),
                        field("boolValue", "bool_value", 2, Bool),
                        field("intValue", "int_value", 3, Int64),
                        field("doubleValue", "double_value", 4, Double),
                        field("arrayValue", "array_value", 5, One(Self::ArrayValue)),
                        field("kvlistValue", "kvlist_value", 6, One(Self::KeyValueList)),
                        field("bytesValue", "bytes_value", 7, Base64),
                    ]
                }
            }
            Self::ArrayValue => const { &[field("values", "values", 1, Many(Self::AnyValue))] },
            Self::KeyValueList => const { &[field("values", "values", 1, Many(Self::KeyValue))] },
        }
    }
}

/// The request in protobuf.
pub(super) fn to_protobuf(body: &[u8]) -> Result<Vec<u8>, PushError> {
    let mut writer = Writer { cursor: Cursor::new(body)?, arena: Arena::default(), out: Vec::with_capacity(body.len()) };
    if !writer.cursor.null()? {
        writer.message(Message::Request, 0)?;
    }
    writer.cursor.end()?;
    Ok(writer.out)
}

struct Writer<'b> {
    cursor: Cursor<'b>,
    arena: Arena,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// One object. `depth` counts the values that it lies in.
    fn message(&mut self, message: Message, depth: usize) -> Result<(), PushError> {
        let at = self.cursor.position();
        let depth = depth + usize::from(message == Message::AnyValue);
        // One more than the walk of protobuf follows: it says what is too deep.
        if depth > MAX_DEPTH + 2 {
            return Err(malformed("value nested too deep", at));
        }
        self.cursor.open(b'{', "expected an object")?;
        let mut first = true;
        while let Some(key) = self.cursor.key(&mut first)? {
            let known = message.fields().iter().find(|field| self.cursor.is(key, field.camel) || self.cursor.is(key, field.snake));
            match known {
                Some(_) if self.cursor.null()? => {}
                Some(field) => self.value(field, depth)?,
                None => self.cursor.skip_value()?,
            }
        }
        Ok(())
    }

    fn value(&mut self, field: &Field, depth: usize) -> Result<(), PushError> {
        let number = field.number;
        match field.kind {
            Kind::One(message) => self.embedded(number, message, depth)?,
            Kind::Many(message) => {
                self.cursor.open(b'[', "expected an array")?;
                let mut first = true;
                while self.cursor.element(&mut first)? {
                    if self.cursor.null()? {
                        // A value that is null is a value; other objects that are null hold nothing.
                        if message == Message::AnyValue {
                            self.bytes(number, b"");
                        }
                        continue;
                    }
                    self.embedded(number, message, depth)?;
                }
            }
            Kind::Text => {
                let text = self.text("expected a string")?;
                self.bytes(number, &text);
            }
            Kind::Bool => {
                let at = self.cursor.position();
                let value = match &*self.scalar("expected true or false")? {
                    b"true" => 1,
                    b"false" => 0,
                    _ => return Err(malformed("expected true or false", at)),
                };
                self.varint_field(number, value);
            }
            Kind::Int64 => {
                let value: i64 = self.number("expected an integer of 64 bits")?;
                self.varint_field(number, value.cast_unsigned());
            }
            Kind::Uint32 => {
                let value: u32 = self.number("expected an integer of 32 bits")?;
                self.varint_field(number, u64::from(value));
            }
            Kind::Fixed64 => {
                let at = self.cursor.position();
                let value: u64 = self.number("expected nanoseconds since the epoch")?;
                if i64::try_from(value).is_err() {
                    return Err(malformed("timestamp past the year 2262", at));
                }
                self.tag(number, FIXED64);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Fixed32 => {
                let value: u32 = self.number("expected an integer of 32 bits")?;
                self.tag(number, FIXED32);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Double => self.double(number)?,
            Kind::Hex => {
                let text = self.text("expected an identifier in hexadecimal")?;
                // What is not hexadecimal is no identifier, as the specification has it.
                if let Some(bytes) = hexadecimal(&text) {
                    self.bytes(number, &bytes);
                }
            }
            Kind::Base64 => {
                let at = self.cursor.position();
                let text = self.text("expected base64")?;
                let bytes = base64_bytes(&text).ok_or_else(|| malformed("not base64", at))?;
                self.bytes(number, &bytes);
            }
            Kind::Severity => {
                let at = self.cursor.position();
                let text = self.scalar("expected a severity number")?;
                let text = String::from_utf8_lossy(&text).into_owned();
                let severity = integer::<i32>(&text).or_else(|| severity_of_name(&text)).ok_or_else(|| malformed("not a severity number", at))?;
                self.varint_field(number, i64::from(severity).cast_unsigned());
            }
        }
        Ok(())
    }

    fn double(&mut self, number: u32) -> Result<(), PushError> {
        let at = self.cursor.position();
        let text = self.scalar("expected a number")?;
        let value: f64 = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| malformed("expected a number", at))?;
        self.tag(number, FIXED64);
        self.out.extend_from_slice(&value.to_bits().to_le_bytes());
        Ok(())
    }

    /// A message whose length is filled in when it is written.
    fn embedded(&mut self, number: u32, message: Message, depth: usize) -> Result<(), PushError> {
        self.tag(number, BYTES);
        let at = self.out.len();
        self.out.extend_from_slice(&[0; LENGTH_BYTES]);
        let start = self.out.len();
        self.message(message, depth)?;
        let mut length = self.out.len() - start;
        for (byte, index) in self.out.iter_mut().skip(at).take(LENGTH_BYTES).zip(1..) {
            let low = u8::try_from(length & 0x7f).unwrap_or_default();
            *byte = if index < LENGTH_BYTES { low | 0x80 } else { low };
            length >>= 7;
        }
        Ok(())
    }

    fn text(&mut self, expected: &'static str) -> Result<Vec<u8>, PushError> {
        self.arena.clear();
        let text = self.cursor.string(&mut self.arena, expected)?;
        Ok(self.owned(text))
    }

    fn scalar(&mut self, expected: &'static str) -> Result<Vec<u8>, PushError> {
        self.arena.clear();
        let text = self.cursor.string_or_scalar(&mut self.arena, expected)?;
        Ok(self.owned(text))
    }

    fn owned(&self, text: Text) -> Vec<u8> {
        self.cursor.text(text, &self.arena).to_vec()
    }

    fn number<T: std::str::FromStr>(&mut self, expected: &'static str) -> Result<T, PushError> {
        let at = self.cursor.position();
        let text = self.scalar(expected)?;
        std::str::from_utf8(&text).ok().and_then(integer).ok_or_else(|| malformed(expected, at))
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, BYTES);
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.out.extend_from_slice(bytes);
    }

    fn varint_field(&mut self, number: u32, value: u64) {
        self.tag(number, VARINT);
        self.varint(value);
    }

    fn varint(&mut self, value: u64) {
        let mut rest = value;
        loop {
            let low = u8::try_from(rest & 0x7f).unwrap_or_default();
            rest >>= 7;
            self.out.push(if rest > 0 { low | 0x80 } else { low });
            if rest == 0 {
                return;
            }
        }
    }
}

/// A whole number, also one that JavaScript wrote with an exponent.
fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    // Beyond that a double has the integers no type here holds, and their text would be long.
    (number.fract() == 0.0 && number.abs() < 1e20).then(|| format!("{number:.0}"))?.parse().ok()
}

fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

fn base64_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [STANDARD, URL_SAFE].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

/// `SEVERITY_NUMBER_INFO2` is 10.
fn severity_of_name(name: &str) -> Option<i32> {
    let level = name.strip_prefix("SEVERITY_NUMBER_")?;
    let digits = level.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let (word, step) = (level.strip_suffix(digits)?, if digits.is_empty() { 1 } else { digits.parse::<i32>().ok().filter(|step| (2..=4).contains(step))? });
    let first = [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)]
        .into_iter()
        .find_map(|(known, first)| (known == word).then_some(first));
    match first {
        Some(first) => Some(first + step - 1),
        None => (level == "UNSPECIFIED").then_some(0),
    }
}
