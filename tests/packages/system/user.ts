import os from "node:os";

export default () => {
  const { username, homedir, uid } = os.userInfo();
  return [username, homedir, uid === process.getuid!(), os.homedir(), os.tmpdir(), os.hostname(), os.platform()];
};
