#!/usr/sbin/dtrace -s
/*
 * path: what happens to one frame, from end to end?
 *
 * USAGE
 *   overlay-trace --tracer dtrace path [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -s path.d OVERLAYD_PID VARPD_PID [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what path.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   Up to ten firings of one to two microseconds for each frame. On a busy
 *   host give a network and a MAC; frames that are not asked for still cost
 *   one firing for each probe.
 *
 * CAVEATS
 *   Give 0 for a daemon that does not run. Both are watched at once, so the
 *   providers carry process ids; on illumos overlay*::: would do.
 *   Ends after count times interval seconds, or by Ctrl-C. D cannot forget
 *   all entries of an array: a ping that overlayd answers, and a lookup that
 *   is withdrawn, stay in the 16 MB of dynvarsize until the script ends.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256
#pragma D option dynvarsize=16m

dtrace:::BEGIN
{
	printf("Tracing frames on their way: frame, microseconds, probe... Ctrl-C ends.\n");
	seconds = 0;
}

overlay$1:::tx-frame
/($5 == 0 || arg1 == $5) && ($$6 == "" || copyinstr(arg4) == $$6 || copyinstr(arg5) == $$6)/
{
	since[arg0] = timestamp;
	printf("%-8x %7u tx-frame     vni %u %s > %s %u\n", arg0, 0, arg1, copyinstr(arg4), copyinstr(arg5), arg3);
}

overlay$1:::target-hit
/since[arg0]/
{
	printf("%-8x %7u target-hit   %s is %s, %s\n", arg0, (timestamp - since[arg0]) / 1000, copyinstr(arg2), copyinstr(arg3), copyinstr(arg4));
}

overlay$1:::target-miss
/since[arg0]/
{
	printf("%-8x %7u target-miss  %s is %s\n", arg0, (timestamp - since[arg0]) / 1000, copyinstr(arg3), copyinstr(arg2));
}

overlay$1:::target-queue
/since[arg0]/
{
	printf("%-8x %7u target-queue %u frames, %u bytes wait\n", arg0, (timestamp - since[arg0]) / 1000, arg3, arg2);
}

overlay$1:::lookup-start
/since[arg1]/
{
	printf("%-8x %7u lookup-start lookup %x for %s\n", arg1, (timestamp - since[arg1]) / 1000, arg0, copyinstr(arg5));
	frame[arg0] = arg1;
}

varpd$2:::lookup
/frame[arg0]/
{
	printf("%-8x %7u varpd-lookup lookup %x by %s\n", frame[arg0], (timestamp - since[frame[arg0]]) / 1000, arg0, copyinstr(arg3));
}

varpd$2:::answer
/frame[arg0]/
{
	printf("%-8x %7u varpd-answer lookup %x: %s\n", frame[arg0], (timestamp - since[frame[arg0]]) / 1000, arg0, copyinstr(arg2));
}

overlay$1:::lookup-done
/frame[arg0]/
{
	printf("%-8x %7u lookup-done  lookup %x: %s %s\n", frame[arg0], (timestamp - since[frame[arg0]]) / 1000, arg0, copyinstr(arg3), copyinstr(arg5));
}

overlay$1:::lookup-done
/frame[arg0] && (copyinstr(arg3) == "inject" || copyinstr(arg3) == "resend")/
{
	since[frame[arg0]] = 0;
}

overlay$1:::lookup-done
/frame[arg0]/
{
	frame[arg0] = 0;
}

overlay$1:::lookup-timeout
/frame[arg0]/
{
	frame[arg0] = 0;
}

overlay$1:::flood
/since[arg0]/
{
	printf("%-8x %7u flood        %u ports, %u underlay addresses\n", arg0, (timestamp - since[arg0]) / 1000, arg2, arg3);
	copies[arg0] = arg3;
}

overlay$1:::flood
/since[arg0] && arg3 == 0/
{
	copies[arg0] = 0;
	since[arg0] = 0;
}

overlay$1:::local
/since[arg0]/
{
	printf("%-8x %7u local        port %u\n", arg0, (timestamp - since[arg0]) / 1000, arg2);
	@ends["local"] = count();
}

overlay$1:::local
/since[arg0] && copies[arg0] == 0/
{
	since[arg0] = 0;
}

overlay$1:::too-big
/since[arg0]/
{
	printf("%-8x %7u too-big      %u bytes, %u fit\n", arg0, (timestamp - since[arg0]) / 1000, arg2, arg3);
}

overlay$1:::encap
/since[arg0]/
{
	printf("%-8x %7u encap        %s to %s, %u datagrams\n", arg0, (timestamp - since[arg0]) / 1000, copyinstr(arg4), copyinstr(arg5), arg3);
}

overlay$1:::tx-send
/since[arg0]/
{
	printf("%-8x %7u tx-send      %s, %u bytes\n", arg0, (timestamp - since[arg0]) / 1000, copyinstr(arg5), arg4);
	@ends["sent"] = count();
	copies[arg0] = copies[arg0] > 1 ? copies[arg0] - 1 : 0;
}

overlay$1:::tx-send
/since[arg0] && copies[arg0] == 0/
{
	since[arg0] = 0;
}

overlay$1:::rx-datagram
{
	arrived[arg0] = timestamp;
}

overlay$1:::decap
/arrived[arg0] && ($5 == 0 || arg1 == $5) && ($$6 == "" || copyinstr(arg3) == $$6 || copyinstr(arg4) == $$6)/
{
	printf("%-8x %7u decap        vni %u %s > %s %u\n", arg0, (timestamp - arrived[arg0]) / 1000, arg1, copyinstr(arg3), copyinstr(arg4), arg2);
}

overlay$1:::decap
/arrived[arg0] && !(($5 == 0 || arg1 == $5) && ($$6 == "" || copyinstr(arg3) == $$6 || copyinstr(arg4) == $$6))/
{
	arrived[arg0] = 0;
}

overlay$1:::rx-deliver
/arrived[arg0]/
{
	printf("%-8x %7u rx-deliver   port %u\n", arg0, (timestamp - arrived[arg0]) / 1000, arg2);
	@ends["delivered"] = count();
	arrived[arg0] = 0;
}

overlay$1:::ping
/arrived[arg0] && ($5 == 0 || arg1 == $5) && $$6 == ""/
{
	printf("%-8x %7u ping         %s, %s\n", arg0, (timestamp - arrived[arg0]) / 1000, copyinstr(arg4), copyinstr(arg5));
}

overlay$1:::ping
/arrived[arg0]/
{
	arrived[arg0] = 0;
}

overlay$1:::drop
/since[arg0]/
{
	printf("%-8x %7u drop         %s %s\n", arg0, (timestamp - since[arg0]) / 1000, copyinstr(arg4), copyinstr(arg5));
	@ends[copyinstr(arg4)] = count();
	copies[arg0] = 0;
	since[arg0] = 0;
}

overlay$1:::drop
/arrived[arg0] && ($5 == 0 || arg2 == $5)/
{
	printf("%-8x %7u drop         %s %s\n", arg0, (timestamp - arrived[arg0]) / 1000, copyinstr(arg4), copyinstr(arg5));
	@ends[copyinstr(arg4)] = count();
}

overlay$1:::drop
/arrived[arg0]/
{
	arrived[arg0] = 0;
}

profile:::tick-1s
/$3 > 0/
{
	seconds++;
}

profile:::tick-1s
/$3 > 0 && $4 > 0 && seconds >= $3 * $4/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("ends %s: %@u\n", @ends);
}
