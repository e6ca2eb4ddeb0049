/**
 * What a file is when it isn't what was asked for: the formats that people hand over by mistake, told by their first bytes.
 * It isn't a full detector; an unknown beginning gives undefined and the reader's own message stands.
 */

/** A format we don't read here. */
export interface ForeignFormat {
  /** With its article, for `got …`. */
  readonly name: string;
  /** What turns it into text. */
  readonly textRemedy: string;
  /** PyTorch's and Python's pickles run code when they are opened. */
  readonly pickle: boolean;
}

interface Signature extends ForeignFormat {
  readonly matches: (head: Uint8Array) => boolean;
}

const signatures: readonly Signature[] = [
  named("a gzip file", "gunzip it first", [0x1f, 0x8b]),
  named("a bzip2 file", "bunzip2 it first", [0x42, 0x5a, 0x68]),
  named("an xz file", "unxz it first", [0xfd, 0x37, 0x7a, 0x58, 0x5a]),
  named("a zstd file", "zstd -d it first", [0x28, 0xb5, 0x2f, 0xfd]),
  { ...named("a zip file, as PyTorch's pickles are", "unzip it first", [0x50, 0x4b, 0x03, 0x04]), pickle: true },
  { ...pickleSignature() },
  named("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8", [0xff, 0xfe]),
  named("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8", [0xfe, 0xff]),
  named("an HDF5 file", "export it as text", [0x89, 0x48, 0x44, 0x46]),
  named("a NumPy array", "export it as text", [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]),
  named("an Arrow file", "export it as text", [...Buffer.from("ARROW1")]),
  named("a Parquet file", "export it as text", [...Buffer.from("PAR1")]),
  named("a GGUF model", "use a safetensors model", [...Buffer.from("GGUF")]),
  named("an SQLite database", "export it as text", [...Buffer.from("SQLite format 3")]),
  named("a Git LFS pointer, not the file itself", "fetch the file: git lfs pull", [...Buffer.from("version https://git-lfs")]),
  named("a web page", "download the file itself", [...Buffer.from("<!DOCTYPE")]),
  named("a web page", "download the file itself", [...Buffer.from("<html")]),
];

/** The format whose signature `head` (the first bytes of a file) begins with. */
export function describeForeignFormat(head: Uint8Array): ForeignFormat | undefined {
  return signatures.find((signature) => signature.matches(head));
}

function named(name: string, textRemedy: string, start: readonly number[]): Signature {
  const matches = (head: Uint8Array): boolean => start.every((byte, place) => head[place] === byte);
  return { name, textRemedy, pickle: false, matches };
}

/** A protocol mark 2 to 5 and then the first opcode of a container, a number, a frame or a global. */
function pickleSignature(): Signature {
  const opcodes = new Set([...Buffer.from("}](cKXJM)\x8a\x8c\x95ch", "latin1")]);
  return {
    name: "a pickle",
    textRemedy: "export it as text",
    pickle: true,
    matches: (head) => head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 9) <= 5 && opcodes.has(head[2] ?? 0),
  };
}
