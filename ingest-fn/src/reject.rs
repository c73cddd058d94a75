//! Entries that were refused while the rest of their push is stored: counts by reason and the text that the client gets.
//! Loki stores the good entries and still answers 400; the words and reasons are Loki's (`validation` package).
//! Must not know: how entries are decoded or stored.

/// Longest label text or value inside a message: Loki prints all of it, which a hostile push can make arbitrarily long.
const MAX_QUOTED_BYTES: usize = 4096;
/// Most distinct messages in one answer.
const MAX_MESSAGES: usize = 10;

/// Why entries were discarded. Names as in Loki's `loki_discarded_samples_total{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DiscardReason {
    /// Line longer than `max_line_size`.
    LineTooLong,
    /// Line that is not UTF-8; Tarn's own, since its lines are text.
    InvalidUtf8,
    /// Older than `reject_old_samples_max_age`.
    TooOld,
    /// Further in the future than `creation_grace_period`.
    TooFarInFuture,
    /// No labels at all (only without service name discovery).
    MissingLabels,
    /// Labels that cannot be read, or that no client may set; counted once per push, as none of it is stored.
    InvalidLabels,
    /// More labels than `max_label_names_per_series`.
    TooManyLabels,
    /// A label name longer than `max_label_name_length`.
    LabelNameTooLong,
    /// A label value longer than `max_label_value_length`.
    LabelValueTooLong,
    /// A label name that occurs twice.
    DuplicateLabelNames,
    /// More metadata bytes than `max_structured_metadata_size`.
    StructuredMetadataTooLarge,
    /// More metadata pairs than `max_structured_metadata_entries_count`.
    StructuredMetadataTooMany,
    /// The push was refused because its tenant sends more than `ingestion_rate_mb`.
    RateLimited,
    /// The push was refused for its size; counted once per push, as no entry was read.
    RequestBodyTooLarge,
    /// A document of a bulk request that is not a JSON object, or whose time cannot be read; Tarn's own.
    UnreadableDocument,
}

impl DiscardReason {
    /// Every reason, in the order of their discriminants.
    pub const ALL: [Self; 15] = [
        Self::LineTooLong,
        Self::InvalidUtf8,
        Self::TooOld,
        Self::TooFarInFuture,
        Self::MissingLabels,
        Self::InvalidLabels,
        Self::TooManyLabels,
        Self::LabelNameTooLong,
        Self::LabelValueTooLong,
        Self::DuplicateLabelNames,
        Self::StructuredMetadataTooLarge,
        Self::StructuredMetadataTooMany,
        Self::RateLimited,
        Self::RequestBodyTooLarge,
        Self::UnreadableDocument,
    ];

    /// The value of the metric's `reason` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooOld => "greater_than_max_sample_age",
            Self::TooFarInFuture => "too_far_in_future",
            Self::MissingLabels => "missing_labels",
            Self::InvalidLabels => "invalid_labels",
            Self::TooManyLabels => "max_label_names_per_series",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::DuplicateLabelNames => "duplicate_label_names",
            Self::StructuredMetadataTooLarge => "structured_metadata_too_large",
            Self::StructuredMetadataTooMany => "structured_metadata_too_many",
            Self::RateLimited => "rate_limited",
            Self::RequestBodyTooLarge => "request_body_too_large",
            Self::UnreadableDocument => "unreadable_document",
        }
    }
}

/// How much was discarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Entries.
    pub lines: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

/// Everything that one push lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    discarded: [Discarded; DiscardReason::ALL.len()],
    messages: Vec<(String, u64)>,
    errors: u64,
    untold: u64,
}

impl Rejections {
    /// Whether every entry was accepted.
    pub fn is_empty(&self) -> bool {
        self.errors == 0
    }

    /// Reasons with what they cost, those that cost nothing left out.
    pub fn iter(&self) -> impl Iterator<Item = (DiscardReason, Discarded)> {
        DiscardReason::ALL.into_iter().zip(self.discarded).filter(|(_, discarded)| *discarded != Discarded::default())
    }

    /// Entries refused in all.
    pub fn lines(&self) -> u64 {
        self.discarded.iter().map(|d| d.lines).sum()
    }

    /// The answer's text: the bare message of a single error, else each distinct message as `N errors like: message`, joined with `; `.
    /// Loki's order is random; here it is that of the push. Beyond a handful of distinct messages only their number is told.
    pub fn text(&self) -> String {
        if let ([(message, 1)], 0) = (self.messages.as_slice(), self.untold) {
            return message.clone();
        }
        let mut parts: Vec<String> = self.messages.iter().map(|(message, count)| format!("{count} errors like: {message}")).collect();
        if self.untold > 0 {
            parts.push(format!("{} more errors", self.untold));
        }
        parts.join("; ")
    }

    /// Counts discarded entries without an error of their own.
    pub(crate) fn count(&mut self, reason: DiscardReason, lines: u64, bytes: u64) {
        if let Some(discarded) = self.discarded.iter_mut().zip(DiscardReason::ALL).find_map(|(discarded, r)| (r == reason).then_some(discarded)) {
            discarded.lines += lines;
            discarded.bytes += bytes;
        }
    }

    /// Adds one error. `message` is only asked for while there is room for another.
    pub(crate) fn error(&mut self, message: impl FnOnce() -> String) {
        self.errors += 1;
        if self.messages.len() >= MAX_MESSAGES {
            self.untold += 1;
            return;
        }
        let text = message();
        match self.messages.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => self.messages.push((text, 1)),
        }
    }
}

/// `text`, cut where a hostile push would make a message endless.
pub(crate) fn shorten(text: &str) -> String {
    if text.len() <= MAX_QUOTED_BYTES {
        return text.to_owned();
    }
    let end = (0..=MAX_QUOTED_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_error_is_bare_and_several_are_grouped() {
        let mut rejections = Rejections::default();
        assert!(rejections.is_empty());
        rejections.error(|| "a".to_owned());
        assert_eq!(rejections.text(), "a");
        rejections.error(|| "a".to_owned());
        assert_eq!(rejections.text(), "2 errors like: a");
        rejections.error(|| "b".to_owned());
        assert_eq!(rejections.text(), "2 errors like: a; 1 errors like: b");
    }

    #[test]
    fn messages_are_bounded() {
        let mut rejections = Rejections::default();
        for i in 0..1000 {
            rejections.error(|| i.to_string());
        }
        assert!(rejections.text().ends_with("; 1 errors like: 9; 990 more errors"), "{}", rejections.text());
        assert_eq!(shorten(&"ü".repeat(10_000)).len(), 4096 + 3);
    }

    #[test]
    fn reasons_are_in_discriminant_order() {
        for (i, reason) in DiscardReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }
}
