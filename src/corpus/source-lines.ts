/**
 * The lines of a corpus file, plain or `.gz`, with their numbers, in constant memory. Plain files go through storage's reader; only
 * decompression is added here. The trap: gzip reports a truncated file at its very end, after the good lines were handed out.
 */
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { UserError } from "../errors.js";
import { readLines } from "../storage/json-lines.js";

export interface SourceLine {
  line: string;
  /** 1-based. */
  number: number;
}

/** UTF-8 is checked, a BOM and CRLF are taken off. @throws UserError naming the file (and line) for wrong encoding, truncated gzip, bzip2. */
export async function* readSourceLines(file: string): AsyncGenerator<SourceLine> {
  if (file.endsWith(".bz2")) {
    throw new UserError({ where: file, what: "bzip2 can't be read here", remedy: `bunzip2 ${file}, or extract without --compress` });
  }
  if (file.endsWith(".gz")) yield* readGzipLines(file);
  else yield* readLines(file);
}

async function* readGzipLines(file: string): AsyncGenerator<SourceLine> {
  const input = createReadStream(file);
  const unzipped = createGunzip();
  input.on("error", (error) => unzipped.destroy(error));
  input.pipe(unzipped);
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  try {
    for await (const chunk of unzipped as AsyncIterable<Buffer>) {
      const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
        number += 1;
        yield { line: decodeLine(bytes.subarray(start, end), file, number), number };
        start = end + 1;
      }
      rest = bytes.subarray(start);
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      {
        where: number === 0 ? file : `${file}:${number}`,
        what: `can't be decompressed (${(error as Error).message})`,
        expected: "a complete gzip file",
        remedy: "make or fetch the file again",
      },
      { cause: error },
    );
  } finally {
    input.destroy();
  }
  if (rest.length > 0) yield { line: decodeLine(rest, file, number + 1), number: number + 1 };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeLine(bytes: Uint8Array, file: string, number: number): string {
  let line: string;
  try {
    line = utf8.decode(bytes);
  } catch (error) {
    throw new UserError({ where: `${file}:${number}`, what: "not UTF-8", remedy: "convert the file with iconv" }, { cause: error });
  }
  if (number === 1 && line.startsWith("\uFEFF")) line = line.slice(1);
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
