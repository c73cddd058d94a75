//! The binary manifest of a chunk.

use schema::ChunkManifest;

/// What decodes is valid and survives another round.
pub fn run(data: &[u8]) {
    if let Ok(manifest) = ChunkManifest::decode(data) {
        manifest.validate().expect("a decoded manifest is valid");
        let again = ChunkManifest::decode(&manifest.encode()).expect("an encoded manifest decodes");
        assert_eq!(again, manifest);
    }
}
