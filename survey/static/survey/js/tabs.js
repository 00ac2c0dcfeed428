// A visit has one tab that votes: a newer one tells the older ones, which then stand aside.
export function openChannel(name, tab, stepAside) {
  try {
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => data !== tab && stepAside();
    return channel;
  } catch {
    return null; // without it, the older tab learns of the newer with its next answer
  }
}
