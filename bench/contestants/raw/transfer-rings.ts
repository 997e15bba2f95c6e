/** The staging that large transfers go through in pieces. */

export const MiB = 2 ** 20;

/** A number of buffers, and the bytes of each. */
export interface Ring {
  readonly count: number;
  readonly bytes: number;
}

export const rings: readonly Ring[] = [
  { count: 4, bytes: MiB },
  { count: 4, bytes: 4 * MiB },
];

/** For a read there may be as much staging as a tensor has: each piece comes with a submission of its own. */
export const longRings: readonly Ring[] = [...rings, { count: 64, bytes: 4 * MiB }];

export function ringName({ count, bytes }: Ring): string {
  return `${count} x ${bytes / MiB} MiB`;
}
