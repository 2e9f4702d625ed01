//! WAV as prompts come: 8 kHz, mono, PCM of 16 bits, and nothing else.

/// The samples of a prompt, or what is wrong with the file.
pub fn read(data: &[u8]) -> Result<Vec<i16>, &'static str> {
    if data.get(..4) != Some(b"RIFF") || data.get(8..12) != Some(b"WAVE") {
        return Err("not-a-wav");
    }
    let format = chunk(data, b"fmt ").ok_or("no-format")?;
    check_format(format)?;
    let samples = chunk(data, b"data").ok_or("no-samples")?;
    if samples.len() < 2 {
        return Err("empty");
    }
    Ok(samples.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect())
}

/// The body of the first chunk of that name. A last chunk may be cut short (some writers leave its length open).
fn chunk<'a>(data: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = data.get(12..)?;
    loop {
        let length = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?) as usize;
        let body = &rest[8..];
        if &rest[..4] == name {
            return Some(&body[..length.min(body.len())]);
        }
        rest = body.get(length.checked_add(length & 1)?..)?;
    }
}

fn check_format(format: &[u8]) -> Result<(), &'static str> {
    let word = |at: usize| format.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match (word(0), word(2), word(4), word(6), word(14)) {
        (Some(1), Some(1), Some(8000), Some(0), Some(16)) => Ok(()),
        (Some(1), Some(1), _, _, Some(16)) => Err("not-8-khz"),
        (Some(1), Some(_), _, _, Some(16)) => Err("not-mono"),
        _ => Err("not-pcm-16"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wav(channels: u16, rate: u32, bits: u16, samples: &[u8]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0".to_vec();
        out.extend_from_slice(&channels.to_le_bytes());
        out.extend_from_slice(&rate.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(b"data");
        out.extend_from_slice(&(samples.len() as u32).to_le_bytes());
        out.extend_from_slice(samples);
        out
    }

    #[test]
    fn reads_what_it_should_and_names_what_it_should_not() {
        assert_eq!(read(&wav(1, 8000, 16, &[1, 0, 255, 255])), Ok(vec![1, -1]));
        assert_eq!(read(&wav(1, 16000, 16, &[1, 0])), Err("not-8-khz"));
        assert_eq!(read(&wav(2, 8000, 16, &[1, 0])), Err("not-mono"));
        assert_eq!(read(&wav(1, 8000, 8, &[1, 0])), Err("not-pcm-16"));
        assert_eq!(read(&wav(1, 8000, 16, &[])), Err("empty"));
        assert_eq!(read(b"OggS"), Err("not-a-wav"));
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..64), cut in 0usize..60) {
            let mut data = wav(1, 8000, 16, &[0; 8]);
            data.truncate(cut);
            data.extend_from_slice(&tail);
            let _ = read(&data);
        }
    }
}
