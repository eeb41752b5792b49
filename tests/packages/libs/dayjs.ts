import dayjs from "dayjs";
import timezone from "dayjs/plugin/timezone";
import utc from "dayjs/plugin/utc";

export default () => {
  dayjs.extend(utc);
  dayjs.extend(timezone);
  return dayjs.tz("2024-07-01 12:00", "America/New_York").tz("Asia/Tokyo").format("YYYY-MM-DD HH:mm Z");
};
