// No wait without an end: a network, a decoder or an extension may never answer.

export class TooLong extends Error {}

// What the promise gives, or TooLong after so many milliseconds.
export function within(ms, promise) {
  let timer = 0;
  const end = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new TooLong(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, end]).finally(() => clearTimeout(timer));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
